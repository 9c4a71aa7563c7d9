//! What every database has to do to be a store. Each behaviour runs on each database listed at the end.

#[cfg(test)]
#[path = "store_contract/administration.rs"]
mod administration;
#[cfg(test)]
#[path = "store_contract/at_rest.rs"]
mod at_rest;
#[cfg(test)]
#[path = "store_contract/audit.rs"]
mod audit;
#[cfg(test)]
#[path = "store_contract/clients.rs"]
mod clients;
#[cfg(test)]
#[path = "store_contract/crash.rs"]
mod crash;
#[cfg(test)]
#[path = "store_contract/keys.rs"]
mod keys;
#[cfg(test)]
#[path = "store_contract/log.rs"]
mod log;
#[cfg(test)]
#[path = "store_contract/mailed.rs"]
mod mailed;
#[cfg(test)]
#[path = "store_contract/make.rs"]
mod make;
#[cfg(test)]
#[expect(dead_code, reason = "the end-to-end tests use all of it")]
#[path = "support/postgres.rs"]
mod postgres;
#[cfg(test)]
#[path = "store_contract/postgres_server.rs"]
mod postgres_server;
#[cfg(test)]
#[path = "store_contract/postgres_silence.rs"]
mod postgres_silence;
#[cfg(test)]
#[path = "store_contract/refresh.rs"]
mod refresh;
#[cfg(test)]
#[path = "store_contract/sessions.rs"]
mod sessions;
#[cfg(test)]
#[path = "store_contract/sqlite_file.rs"]
mod sqlite_file;
#[cfg(test)]
#[path = "store_contract/users.rs"]
mod users;

/// Runs every behaviour on the database that `$place` makes: an empty one, which may be opened more than once.
macro_rules! contract {
    ($database:ident, $place:expr) => {
        contract! { $database, $place;
            users::an_account_comes_back_as_it_was_made,
            users::names_and_addresses_are_one_namespace_without_regard_to_case,
            users::accounts_that_come_together_are_all_added_or_none,
            users::an_account_may_be_named_by_its_own_address,
            users::an_account_is_found_by_every_spelling_of_its_names,
            users::accounts_are_listed_by_name_and_found_by_a_part_of_it,
            users::a_change_of_rights_raises_the_generation_once_and_revokes_what_is_older,
            users::a_change_of_nothing_revokes_nothing,
            users::attributes_are_merged_and_null_removes_one,
            users::an_address_that_changes_frees_the_old_one,
            users::a_refused_change_changes_nothing,
            users::a_new_password_ends_all_sessions_but_the_one_that_made_it,
            users::a_hash_is_replaced_only_while_it_is_the_one_that_was_verified,
            users::a_deleted_account_leaves_only_its_revocations,
            users::a_network_is_known_since_it_was_last_seen,
            users::nobody_has_nothing,
            users::text_that_not_every_database_keeps_is_kept_alike,
            users::accounts_are_in_the_order_of_their_bytes,
            sessions::a_session_is_opened_with_its_user_as_he_is_now,
            sessions::no_session_is_opened_for_who_is_gone_or_disabled,
            sessions::live_sessions_are_listed_newest_first,
            sessions::ending_a_session_twice_gives_its_entry_twice,
            sessions::all_sessions_but_one_are_ended,
            sessions::a_session_is_found_by_its_fresh_and_used_tokens_while_it_lives,
            refresh::a_refresh_replaces_the_token_and_extends_the_session,
            refresh::a_replay_within_the_grace_gives_the_same_successor,
            refresh::a_replay_after_the_grace_ends_the_session,
            refresh::a_replay_of_a_token_whose_successor_was_used_ends_the_session,
            refresh::a_replay_ends_the_session_of_a_disabled_account_too,
            refresh::unknown_expired_ended_and_disabled_are_refused,
            refresh::a_hundred_parallel_refreshes_give_one_successor,
            refresh::a_refresh_that_races_a_logout_leaves_nothing_alive,
            refresh::a_token_in_another_clients_hands_is_refused_and_stays_good,
            refresh::who_may_not_go_on_as_asked_loses_nothing_and_a_replay_ends_the_session_whatever_is_asked,
            keys::a_key_comes_back_with_its_owner,
            keys::a_key_needs_an_owner_and_an_id_of_its_own,
            keys::a_key_is_found_by_its_hash_and_no_hash_is_there_twice,
            keys::a_revoked_key_is_in_the_log,
            keys::the_time_of_last_use_never_moves_back,
            clients::a_client_comes_back_as_it_was_made,
            clients::no_two_clients_have_one_name,
            clients::a_deleted_client_takes_its_tokens_and_sessions_along,
            mailed::a_mailed_token_is_found_for_its_purpose_until_it_expires,
            mailed::of_two_who_redeem_a_token_one_does,
            mailed::a_later_mail_of_the_same_kind_replaces_the_earlier,
            mailed::a_refused_change_leaves_the_token,
            mailed::a_token_for_a_generation_is_kept_only_while_its_user_is_of_it,
            mailed::a_new_password_forgets_what_was_mailed_to_that_user,
            log::entries_come_back_in_order_by_page,
            log::the_same_thing_revoked_again_is_a_new_entry,
            log::a_follower_misses_nothing_that_commits_late,
            log::a_session_that_goes_on_forgets_tokens_that_ended_long_ago,
            log::what_nobody_needs_is_forgotten,
            audit::the_latest_event_comes_first,
            administration::lists_come_by_the_page_with_their_whole_length,
            administration::the_last_who_holds_a_role_keeps_it,
            administration::who_is_disabled_or_a_machine_does_not_count,
            administration::of_two_who_take_each_other_one_is_left,
            administration::what_was_judged_by_an_older_state_is_refused,
            at_rest::replicas_that_start_together_make_one_schema,
            at_rest::a_later_schema_is_refused_only_if_it_says_so,
            at_rest::what_a_later_release_wrote_does_not_stop_a_reader,
            at_rest::a_sealed_successor_is_erased_when_nobody_may_ask_for_it_any_more,
            at_rest::a_successor_that_can_not_be_read_ends_the_session,
            at_rest::a_row_that_can_not_be_read_is_an_error_that_does_not_show_it,
        }
    };
    ($database:ident, $place:expr; $($group:ident :: $behaviour:ident,)+) => {
        #[cfg(test)]
        mod $database {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $behaviour() {
                    crate::$group::$behaviour(&$place).await;
                }
            )+
        }
    };
}

contract!(on_sqlite, crate::make::Place::sqlite());
contract!(on_postgres, crate::make::Place::postgres());
