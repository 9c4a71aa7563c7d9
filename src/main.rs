//! The binary: everything else is in the library.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Before anything makes a TLS configuration: pingora would install another provider by itself.
    // It fails only where one is installed already, and there is none yet.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    portcullis::cli::main()
}
