//! What must be true on either store, once more on PostgreSQL. `PORTCULLIS_TEST_STORE=postgres` runs everything there.

use crate::storage::with_postgres;

macro_rules! on_postgres {
    ($($module:ident: $($test:ident),+;)+) => {
        $(mod $module {
            $(#[test]
            fn $test() {
                super::with_postgres(crate::$module::$test);
            })+
        })+
    };
}

on_postgres! {
    logins:
        a_login_by_name_or_address_in_json_or_form_gives_a_token_response,
        a_refresh_replaces_its_token_and_a_late_replay_kills_the_session,
        a_hundred_parallel_refreshes_of_one_token_log_nobody_out,
        a_logout_by_bearer_or_by_refresh_token_kills_the_session,
        everywhere_ends_all_of_the_users_sessions_and_nobody_elses,
        a_change_of_rights_kills_access_tokens_and_a_refresh_brings_the_new_ones,
        strangers_cannot_lock_an_owner_out_of_his_own_network;
    replicas:
        a_hundred_refreshes_at_two_replicas_log_nobody_out,
        a_replay_at_one_replica_kills_the_session_at_the_other,
        a_logout_against_refreshes_at_both_replicas_leaves_nothing_alive;
    revocation:
        a_logout_counts_on_the_other_replica_without_redis,
        the_cli_reaches_both_replicas;
    outage:
        with_redis_killed_calls_logins_and_logouts_go_on,
        in_strict_mode_the_store_is_asked_when_redis_is_gone,
        with_the_store_gone_calls_go_on_while_redis_feeds_and_with_both_gone_none_does;
    credentials:
        a_key_follows_its_owner,
        when_a_key_was_last_used_is_shown;
    imported_keys:
        an_imported_key_works_like_any_other_until_it_is_revoked;
    cli:
        what_the_cli_changes_counts_in_a_running_gateway,
        an_api_key_is_bound_by_its_addresses_its_expiry_and_its_owner;
    lifecycle:
        a_kill_at_any_moment_loses_nothing_that_was_answered,
        a_kill_in_the_middle_of_a_storm_loses_nothing_that_was_answered;
}
