//! `[passwords]`: what a new password has to be, wherever it is set.

use crate::gateway::portcullis_in;

#[test]
fn a_new_password_keeps_the_rules_of_the_file_and_is_told_which_it_breaks() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = portcullis_in(folder.path(), &["init", "--password-stdin"], "correct horse battery staple");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let config = std::fs::read_to_string(folder.path().join("gateway.toml")).expect("gateway.toml");
    let rules = "[passwords]\nmin_length = 8\nmax_length = \"64B\"\nrequire = [\"uppercase\", \"digit\", \"symbol\"]\n\
        blocklist = \"refused.txt\"\nargon2 = { memory = \"1MiB\", iterations = 1, parallelism = 1 }\n";
    std::fs::write(folder.path().join("gateway.toml"), format!("{config}\n{rules}")).expect("written");
    let refused = |list: &str| std::fs::write(folder.path().join("refused.txt"), list).expect("written");
    let add = |name: &str, password: &str| {
        let output = portcullis_in(folder.path(), &["user", "add", name, "--password-stdin"], password);
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    refused("Unser Kennwort 1\r\n");
    for (password, why) in [
        ("Ab 1", "needs 8 characters at least"),
        (&format!("Ab 1{}", "x".repeat(61)), "may have 64 bytes at most"),
        ("abcdefg 1", "needs an upper-case letter"),
        ("Abcdefg !", "needs a digit"),
        ("Abcdefg1", "neither a letter nor a digit"),
        ("UNSER kennwort 1", "guessed first"),
        ("\u{ff35}nser Kennwort \u{2460}", "guessed first"),
    ] {
        let (code, said) = add("ann", password);
        assert!(code == Some(1) && said.contains(why) && !said.contains(password), "{password}: {said}");
    }
    let mine = ["user", "add", "ann", "--email", "Ann-1@long.example.com", "--password-stdin"];
    let mine = portcullis_in(folder.path(), &mine, "ANN-1@long.example.com");
    let said = String::from_utf8_lossy(&mine.stderr);
    assert!(mine.status.code() == Some(1) && said.contains("must not be the username or the e-mail address"), "{said}");
    assert_eq!(add("ann", "Unser Kennwort 2"), (Some(0), String::new()));
    // The file is read again each time.
    refused("unser kennwort 3\n");
    let set = |password: &str| {
        portcullis_in(folder.path(), &["user", "set-password", "ann", "--password-stdin"], password).status.code()
    };
    assert_eq!((set("Unser Kennwort 3"), set("Unser Kennwort 1")), (Some(1), Some(0)));

    std::fs::remove_file(folder.path().join("refused.txt")).expect("removed");
    let (code, said) = add("bob", "Unser Kennwort 4");
    assert!(code == Some(1) && said.contains("refused.txt") && said.contains("passwords.blocklist"), "{said}");
}
