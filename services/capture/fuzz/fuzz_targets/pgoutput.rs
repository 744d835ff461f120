//! A session of the output plugin `pgoutput`: bytes to messages.

#![no_main]

libfuzzer_sys::fuzz_target!(|session: &[u8]| capture::fuzz::pgoutput(session));
