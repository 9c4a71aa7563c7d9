//! `man`: one page with a section for each command, made of what `--help` says.

use std::io;

use clap::{Command, CommandFactory as _};
use clap_mangen::Man;

use super::Failure;
use super::args::Cli;
use super::output::put;

/// What no command's help says.
const MORE: &str = r#".SH FILES
.TP
\fIgateway.toml\fR
The configuration: \fB\-c\fR, else \fB$PORTCULLIS_CONFIG\fR, else \fI./gateway.toml\fR. Its \fB[routes].include\fR names the route files.
.SH ENVIRONMENT
.TP
\fBPORTCULLIS_CONFIG\fR
The configuration file.
.TP
\fBPORTCULLIS__\fISECTION\fB__\fIKEY\fR
Overrides a key of the configuration.
.TP
\fBRUST_LOG\fR
The level of the log, else info.
.SH SIGNALS
.TP
\fBSIGHUP\fR
Reads configuration and routes again; with any error the old ones stay.
.TP
\fBSIGTERM\fR, \fBSIGINT\fR
Drains and ends.
.SH "EXIT STATUS"
.TP
\fB0\fR
Done.
.TP
\fB1\fR
The thing asked is wrong: a bad configuration, denied, not found.
.TP
\fB2\fR
Wrong usage.
.TP
\fB3\fR
It could not be done now: the store can't be reached.
"#;

/// How an apostrophe is set, which each part defines anew.
const APOSTROPHE: &str = " .ds Aq ";

/// Prints the page.
pub(super) fn man() -> Result<(), Failure> {
    let page = page().map_err(|error| Failure::could_not(format!("the manual page can't be made: {error}")))?;
    put(&String::from_utf8_lossy(&page))
}

fn page() -> io::Result<Vec<u8>> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let mut page = Vec::new();
    let man = Man::new(command.clone());
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    for below in command.get_subcommands() {
        section(below, "portcullis", &mut page)?;
    }
    page.extend_from_slice(MORE.as_bytes());
    man.render_version_section(&mut page)?;
    Ok(page)
}

/// A command's section, or those of the commands below it.
fn section(command: &Command, before: &str, page: &mut Vec<u8>) -> io::Result<()> {
    let name = format!("{before} {}", command.get_name());
    if command.has_subcommands() {
        return command.get_subcommands().try_for_each(|below| section(below, &name, page));
    }
    page.extend_from_slice(format!(".SH \"{}\"\n", name.to_uppercase()).as_bytes());
    let man = Man::new(command.clone().bin_name(&name));
    for render in [Man::render_synopsis_section, Man::render_description_section, Man::render_options_section] {
        let mut part = Vec::new();
        render(&man, &mut part)?;
        for line in String::from_utf8_lossy(&part).lines().filter(|line| !line.contains(APOSTROPHE)) {
            // The headings of a page's own parts: here they are paragraphs of one section.
            let line = if line.starts_with(".SH ") { ".PP" } else { line };
            page.extend_from_slice(line.as_bytes());
            page.push(b'\n');
        }
    }
    Ok(())
}
