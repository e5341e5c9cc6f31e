#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| kontingent_fuzz::signature(data));
