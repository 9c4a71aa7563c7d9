//! Floor 3: what HTTP and the command line share: log in, refresh, log out, change accounts.
