//! A session of the output plugin `test_decoding`: lines to messages.

#![no_main]

libfuzzer_sys::fuzz_target!(|session: &[u8]| capture::fuzz::test_decoding(session));
