//! The measuring stick: pingora with nothing of ours, built with the same versions and flags.
//!
//! `passthrough LISTEN BACKEND` proxies everything, on one thread.

use async_trait::async_trait;
use pingora_core::prelude::{HttpPeer, Server};
use pingora_core::server::configuration::ServerConf;
use pingora_error::Result;
use pingora_proxy::{ProxyHttp, Session, http_proxy_service};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Passthrough {
    backend: String,
}

#[async_trait]
impl ProxyHttp for Passthrough {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _session: &mut Session, (): &mut ()) -> Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.backend.as_str(), false, String::new())))
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(listen), Some(backend)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: passthrough LISTEN BACKEND");
        std::process::exit(2);
    };
    let conf = ServerConf { threads: 1, ..ServerConf::default() };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    let mut service = http_proxy_service(&server.configuration, Passthrough { backend });
    service.add_tcp(&listen);
    server.add_service(service);
    server.run_forever();
}
