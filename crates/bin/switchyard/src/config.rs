//! The settings file, put behind flags and environment, and what counts as bad configuration.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory as _, FromArgMatches as _};

use crate::cli::Cli;
use crate::exit::bad_configuration;

/// The settings of a file, by the flags' names.
type Settings = BTreeMap<String, String>;

/// Reads the command line with everything behind it. Wrong usage, `--help` and `--version` end as clap ends them.
pub(crate) fn parse(arguments: &[OsString]) -> Result<Result<Cli, clap::Error>> {
    let settings = match file_of(arguments) {
        Some(path) => read(&path)?,
        None => Settings::new(),
    };
    let mut command = Cli::command();
    for name in settings.keys() {
        if !knows(&command, name) {
            return Err(bad_configuration(format!("the settings file: no setting {name:?}")));
        }
    }
    command = with_defaults(command, &settings);
    let parsed = command
        .try_get_matches_from_mut(arguments)
        .and_then(|matches| Cli::from_arg_matches(&matches));
    match parsed {
        Err(error) if !is_usage(&error, arguments) => {
            Err(bad_configuration(one_line(&error.to_string())))
        }
        parsed => Ok(parsed),
    }
}

/// The file is looked for before the rest is read, because it changes how the rest is read.
fn file_of(arguments: &[OsString]) -> Option<PathBuf> {
    let mut rest = arguments.iter().skip(1);
    while let Some(argument) = rest.next() {
        if argument == "--config" {
            return rest.next().map(PathBuf::from);
        }
        if let Some(path) = argument.to_str().and_then(|text| text.strip_prefix("--config=")) {
            return Some(PathBuf::from(path));
        }
    }
    std::env::var_os("SWITCHYARD_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from)
}

fn read(path: &Path) -> Result<Settings> {
    let wrong = |why: String| bad_configuration(format!("{}: {why}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    let table: toml::Table =
        text.parse().map_err(|error: toml::de::Error| wrong(error.to_string()))?;
    table
        .into_iter()
        .map(|(name, value)| match value {
            toml::Value::String(text) => Ok((name, text)),
            toml::Value::Integer(number) => Ok((name, number.to_string())),
            toml::Value::Boolean(flag) => Ok((name, flag.to_string())),
            toml::Value::Datetime(instant) => Ok((name, instant.to_string())),
            toml::Value::Float(_) | toml::Value::Array(_) | toml::Value::Table(_) => {
                Err(wrong(format!("{name}: one text, number or truth value is wanted")))
            }
        })
        .collect()
}

/// Only what can be set from the environment is a setting; the rest is what a command is about.
fn knows(command: &clap::Command, name: &str) -> bool {
    let is_it = |argument: &clap::Arg| {
        argument.get_long() == Some(name) && argument.get_env().is_some() && name != "config"
    };
    command.get_arguments().any(is_it) || command.get_subcommands().any(|sub| knows(sub, name))
}

/// The file's values as defaults: a flag and a variable go before a default.
fn with_defaults(command: clap::Command, settings: &Settings) -> clap::Command {
    let command = command.mut_args(|argument| {
        let value = argument.get_long().and_then(|name| settings.get(name)).cloned();
        match value {
            Some(value) if argument.get_env().is_some() => {
                let reset = clap::builder::Resettable::Reset;
                argument.default_value(value).required(false).required_unless_present(reset)
            }
            Some(_) | None => argument,
        }
    });
    command.mut_subcommands(|sub| with_defaults(sub, settings))
}

/// Whether the command line itself is wrong, rather than a value from the environment or the file.
fn is_usage(error: &clap::Error, arguments: &[OsString]) -> bool {
    if !matches!(error.kind(), ErrorKind::InvalidValue | ErrorKind::ValueValidation) {
        return true;
    }
    let Some(ContextValue::String(value)) = error.get(ContextKind::InvalidValue) else {
        return true;
    };
    arguments.iter().skip(1).any(|argument| argument.to_string_lossy().contains(value.as_str()))
}

fn one_line(text: &str) -> String {
    let text = text.trim_start_matches("error: ");
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.take_while(|line| !line.starts_with("For more information")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Command;
    use crate::exit::{BAD_CONFIGURATION, code_of};
    use std::io::Write as _;
    use std::process::ExitCode;

    fn with_file(text: &str, rest: &[&str]) -> Result<Result<Cli, clap::Error>> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let mut arguments: Vec<OsString> =
            vec!["switchyard".into(), "--config".into(), file.path().into()];
        arguments.extend(rest.iter().map(OsString::from));
        parse(&arguments)
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_flag_goes_before_the_file_and_the_file_before_the_default() {
        let text = "log = 'nats://a:1'\npartitions = 8\nreplicas = 3\n";
        let parsed = with_file(text, &["init", "--partitions", "9"]).unwrap().unwrap();
        let Command::Init(init) = parsed.command else { panic!("another command") };
        assert_eq!(
            (init.log.as_deref(), init.partitions, init.replicas),
            (Some("nats://a:1"), 9, 3)
        );
        assert_eq!(init.nats.stream_prefix, "SY");
    }

    #[test]
    fn a_bad_file_is_bad_configuration() {
        for text in ["nonsense = 1\n", "partitions = [1]\n", "log =", "partitions = 0\n"] {
            let error = with_file(text, &["init", "--log", "nats://a:1"]).unwrap_err();
            assert_eq!(code_of(&error), ExitCode::from(BAD_CONFIGURATION), "{text}");
        }
    }

    #[test]
    fn a_bad_flag_is_wrong_usage() {
        let parsed = with_file("", &["init", "--log", "nats://a:1", "--partitions", "0"]);
        assert_eq!(parsed.unwrap().unwrap_err().exit_code(), 2);
    }
}
