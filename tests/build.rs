//! Compiles the first version of the contract, as it stood in `proto/schema` then, for what speaks it in tests.

use std::path::PathBuf;

const SOURCES: [&str; 6] = [
    "alert.proto",
    "billing.proto",
    "error.proto",
    "group.proto",
    "precheck.proto",
    "task.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=first_contract");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    let mut compiler = protox::Compiler::new(["first_contract"])?;
    compiler
        .include_imports(true)
        .include_source_info(true)
        .open_files(SOURCES)?;
    let descriptors = compiler.encode_file_descriptor_set();

    prost_build::Config::new()
        .compile_well_known_types()
        .extern_path(".google.protobuf", "::pbjson_types")
        .compile_fds(compiler.file_descriptor_set())?;

    pbjson_build::Builder::new()
        .register_descriptors(&descriptors)?
        .ignore_unknown_fields()
        .out_dir(out)
        .build(&[".rowcast.v1"])?;
    Ok(())
}
