//! The gateway's own endpoints, called in process as the proxy calls them: real store, keys, schemes and limits.

#[cfg(test)]
mod accounts;
#[cfg(test)]
mod admin;
#[cfg(test)]
mod admin_keys;
#[cfg(test)]
mod admin_users;
#[cfg(test)]
mod body;
#[cfg(test)]
mod document;
#[cfg(test)]
mod gate;
#[cfg(test)]
mod login;
#[cfg(test)]
mod logout;
#[cfg(test)]
mod me;
#[cfg(test)]
mod oauth;
#[cfg(test)]
mod own_keys;
#[cfg(test)]
mod own_sessions;
#[cfg(test)]
mod parts;
#[cfg(test)]
mod refresh;
#[cfg(test)]
mod table;
