//! Compiles the `.proto` sources without `protoc`, and gives each message the canonical proto3 JSON
//! form, in which a reader ignores fields it does not know.

use std::path::PathBuf;

const SOURCES: [&str; 8] = [
    "schema/alert.proto",
    "schema/billing.proto",
    "schema/change.proto",
    "schema/dead_letter.proto",
    "schema/error.proto",
    "schema/group.proto",
    "schema/precheck.proto",
    "schema/task.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=schema");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    let mut compiler = protox::Compiler::new(["schema"])?;
    compiler
        .include_imports(true)
        .include_source_info(true)
        .open_files(SOURCES)?;
    let descriptors = compiler.encode_file_descriptor_set();

    prost_build::Config::new()
        .compile_well_known_types()
        .bytes([".rowcast.change.v1"])
        .extern_path(".google.protobuf", "::pbjson_types")
        .compile_fds(compiler.file_descriptor_set())?;

    pbjson_build::Builder::new()
        .register_descriptors(&descriptors)?
        .ignore_unknown_fields()
        .out_dir(out)
        .build(&[".rowcast.v1"])?;
    Ok(())
}
