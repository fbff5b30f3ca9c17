//! What `--help` says.

use clap::CommandFactory;
use payquery::cli::Cli;

use super::payquery;

/// The words of every command there is, `payquery` itself as none.
fn all_commands() -> Vec<Vec<String>> {
    fn walk(command: &clap::Command, words: &[String], found: &mut Vec<Vec<String>>) {
        found.push(words.to_vec());
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
            walk(sub, &[words, &[sub.get_name().to_owned()]].concat(), found);
        }
    }
    let mut found = Vec::new();
    walk(&<Cli as CommandFactory>::command(), &[], &mut found);
    found
}

#[test]
fn every_command_says_how_it_is_used() {
    let commands = all_commands();
    for expected in ["serve", "migrate", "key create", "order report", "watch", "healthcheck"] {
        assert!(commands.iter().any(|words| words.join(" ") == expected), "{expected}");
    }
    for words in commands {
        let mut arguments: Vec<&str> = words.iter().map(String::as_str).collect();
        arguments.push("--help");
        let (code, output, complaint) = payquery(&arguments);
        assert_eq!((code, complaint.as_str()), (Some(0), ""), "{words:?}");
        let usage = ["Usage: payquery", &words.join(" ")].join(" ");
        assert!(output.contains(usage.trim_end()), "{words:?}: {output}");
    }
}

/// Each setting's environment variable is its flag in capitals, so that an error about the one is understood for the other.
#[test]
fn the_help_of_serve_names_every_setting_with_its_environment_variable_and_default() {
    let (_, help, _) = payquery(&["serve", "--help"]);
    // An entry goes to the next flag; its lines are joined, since they break wherever the terminal ends.
    let entries: Vec<String> = help
        .split("\n      --")
        .skip(1)
        .map(|entry| entry.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    let command = <Cli as CommandFactory>::command();
    let serve = command.find_subcommand("serve").unwrap();
    let settings: Vec<_> = serve
        .get_arguments()
        .filter_map(|argument| argument.get_long())
        .collect();
    assert!(settings.len() > 15, "{settings:?}");
    for flag in settings {
        let entry = entries.iter().find(|entry| entry.split(' ').next() == Some(flag));
        let entry = entry.unwrap_or_else(|| panic!("--{flag} is not in the help"));
        let variable = match flag {
            "database-url" => "DATABASE_URL".to_owned(),
            _ => format!("PAYQUERY_{}", flag.to_uppercase().replace('-', "_")),
        };
        assert!(entry.contains(&format!("[env: {variable}")), "{entry}");
        let has_default = entry.contains("[default: ");
        let may_lack_one = [
            "webhook-allow",
            "database-url",
            "listen-url",
            "trusted-proxies",
            "amqp-url",
            "amqp-ca-file",
        ]
        .contains(&flag);
        assert!(has_default || may_lack_one, "{entry}");
    }
}

#[test]
fn the_help_never_shows_a_secret_that_the_environment_holds() {
    for (command, variable) in [
        ("serve", "DATABASE_URL"),
        ("serve", "PAYQUERY_AMQP_URL"),
        ("watch", "PAYQUERY_API_KEY"),
        ("watch", "PAYQUERY_CLIENT_SECRET"),
    ] {
        let mut help = crate::support::Process::command(&[command, "--help"]);
        help.env(variable, "hunter2");
        let (_, output, _) = crate::support::Process::run(help);
        assert!(output.contains(variable) && !output.contains("hunter2"), "{output}");
    }
}
