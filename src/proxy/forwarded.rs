//! The client behind trusted proxies.
