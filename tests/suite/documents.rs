//! The documents say what the code does: settings, error codes, transitions, metrics, and the README's walk.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::CommandFactory;
use payquery::cli::Cli;
use payquery::delivery::rabbitmq;
use payquery::domain::event::EventKind;
use payquery::domain::status::{Status, TRANSITIONS, TradeState};
use payquery::intake;
use proc_macro2::{TokenStream, TokenTree};

use crate::support::{Answer, App};

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The cells of the table that follows `<!-- name -->`, without its head.
fn table(document: &str, name: &str) -> Vec<Vec<String>> {
    let (_, rest) = document.split_once(&format!("<!-- {name} -->\n")).unwrap();
    let lines = rest.lines().take_while(|line| line.starts_with('|')).skip(2);
    let cells = |line: &str| {
        line.trim_matches('|')
            .split('|')
            .map(|cell| cell.trim().to_owned())
            .collect()
    };
    lines.map(cells).collect()
}

/// The words in backticks.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

fn first_words(document: &str, name: &str) -> BTreeSet<String> {
    let rows = table(document, name);
    rows.iter().map(|row| quoted(&row[0])[0].to_owned()).collect()
}

/// The settings of `serve` as rows of a table, from where `--help` has them.
fn settings() -> Vec<Vec<String>> {
    let mut command = <Cli as CommandFactory>::command();
    command.build();
    let serve = command.find_subcommand("serve").unwrap();
    let with_variable = serve.get_arguments().filter(|argument| argument.get_env().is_some());
    let row = |argument: &clap::Arg| {
        let value_name = argument
            .get_value_names()
            .filter(|_| argument.get_action().takes_values());
        let value_name = value_name.map_or(String::new(), |names| format!(" {}", names[0]));
        let help = argument.get_help().unwrap().to_string();
        let (meaning, told_default) = help.split_once(" [default: ").unwrap_or((&help, "—]"));
        let default = match argument.get_default_values() {
            [value] => format!("`{}`", value.to_str().unwrap()),
            _ => told_default.trim_end_matches(']').to_owned(),
        };
        vec![
            format!("`--{}{value_name}`", argument.get_long().unwrap()),
            format!("`{}`", argument.get_env().unwrap().to_str().unwrap()),
            default,
            meaning.to_owned(),
        ]
    };
    with_variable.map(row).collect()
}

#[test]
fn the_readme_lists_every_setting_as_the_help_does() {
    assert_eq!(table(&read("README.md"), "settings"), settings());
}

/// Meanings are translated there, and defaults that are told in words.
#[test]
fn the_chinese_readme_lists_the_same_settings() {
    let listed = table(&read("README.zh-CN.md"), "settings");
    let there = settings();
    assert_eq!(listed.len(), there.len());
    for (listed, there) in listed.iter().zip(&there) {
        assert_eq!(listed[..2], there[..2]);
        let is_value = there[2].starts_with('`') || there[2] == "—";
        assert!(listed[2] == there[2] || !is_value, "{listed:?}");
    }
}

/// Every text that names a command of the program: documents, scripts, and what the program itself says.
fn texts_with_commands() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = [
        "README.md",
        "README.zh-CN.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "CHANGELOG.md",
    ]
    .map(Into::into)
    .into();
    let mut folders: Vec<PathBuf> = ["docs", "src", "examples"].map(Into::into).into();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let extension = path.extension().and_then(|extension| extension.to_str());
            if path.is_dir() && !path.ends_with("node_modules") {
                folders.push(path);
            } else if ["md", "rs", "sh", "yml"].contains(&extension.unwrap_or_default()) {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn every_command_that_a_text_names_is_there() {
    let mut program = <Cli as CommandFactory>::command();
    program.build();
    let is_word = |word: &&str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    let mut named = 0;
    for path in texts_with_commands() {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&path)).unwrap();
        for quoted in text.split("`payquery ").skip(1) {
            let (quoted, _) = quoted.split_once('`').unwrap();
            let mut command = &program;
            for word in quoted
                .split_whitespace()
                .take_while(|word| is_word(word) && !word.starts_with('-'))
            {
                if !command.has_subcommands() {
                    break;
                }
                command = command
                    .find_subcommand(word)
                    .unwrap_or_else(|| panic!("{}: `payquery {quoted}` is no command", path.display()));
                named += 1;
            }
        }
    }
    assert!(named > 30, "only {named} were found");
}

/// The blocks of shell that a newcomer is to paste.
fn walk(document: &str) -> Vec<&str> {
    let blocks = document.split("<!-- walk -->\n```sh\n").skip(1);
    blocks.map(|block| block.split_once("```").unwrap().0).collect()
}

#[test]
fn both_readmes_have_the_same_walk() {
    let (english, chinese) = (read("README.md"), read("README.zh-CN.md"));
    assert_eq!(walk(&english), walk(&chinese));
    assert!(english.contains("(README.zh-CN.md)") && chinese.contains("(README.md)"));
}

#[tokio::test]
async fn the_readmes_walk_works_when_pasted() {
    let app = App::spawn().await;
    let script = walk(&read("README.md")).join("echo\n");
    let shell = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &script])
        .env("PAYQUERY_URL", app.url(""))
        .env("PAYQUERY_API_KEY", &app.api_key)
        .output()
        .unwrap();
    let answers = String::from_utf8(shell.stdout).unwrap();
    assert!(shell.status.success(), "{}", String::from_utf8_lossy(&shell.stderr));
    let parts = [
        "\"client_secret\":",
        "HTTP/1.1 200 OK",
        "HTTP/1.1 304 Not Modified",
        "\"final\":true,",
        "\"order.succeeded\"",
    ];
    let mut rest = answers.as_str();
    for part in parts {
        rest = rest
            .split_once(part)
            .unwrap_or_else(|| panic!("no {part} in {rest}\nof\n{answers}"))
            .1;
    }
    let woken = app.metric("payquery_polls_total", "outcome=\"woken\"").await;
    assert!(woken > 0.0, "the report came while the request was held");
}

/// The texts in the body of a function.
fn literals_of(source: &str, function: &str) -> BTreeSet<String> {
    fn collect(tokens: TokenStream, found: &mut BTreeSet<String>) {
        for token in tokens {
            match token {
                TokenTree::Group(group) => collect(group.stream(), found),
                TokenTree::Literal(literal) => {
                    found.insert(literal.to_string().trim_matches('"').to_owned());
                }
                _ => {}
            }
        }
    }
    let start = source.find(&format!("fn {function}(")).unwrap();
    let end = start + source[start..].find("\n    }\n").unwrap();
    let body = &source[start..end + "\n    }\n".len()];
    let mut found = BTreeSet::new();
    collect(body.parse().unwrap(), &mut found);
    found
}

#[test]
fn the_api_document_lists_every_error_code() {
    let mut codes = literals_of(&read("src/http/error/texts.rs"), "describe");
    codes.extend(literals_of(&read("src/http/error/webhooks.rs"), "describe"));
    // Titles have capitals and spaces.
    codes.retain(|text| text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'));
    codes.extend(literals_of(&read("src/domain/decision.rs"), "code"));
    assert!(
        codes.contains("invalid_field") && codes.contains("amount_mismatch"),
        "{codes:?}"
    );
    assert_eq!(first_words(&read("docs/api.md"), "codes"), codes);
}

#[test]
fn the_api_document_shows_the_table_of_transitions() {
    let listed = table(&read("docs/api.md"), "transitions");
    let rows = TRANSITIONS.iter().map(|(from, to)| {
        let to: Vec<_> = to.iter().map(|status| format!("`{status}`")).collect();
        vec![format!("`{from}`"), to.join(", ")]
    });
    assert_eq!(listed, rows.collect::<Vec<_>>());
}

#[test]
fn the_api_document_shows_what_each_providers_word_means() {
    let document = read("docs/api.md");
    let words: BTreeSet<_> = TradeState::words().map(ToOwned::to_owned).collect();
    assert_eq!(first_words(&document, "trade states"), words);
    for row in table(&document, "trade states") {
        let state = TradeState::parse(quoted(&row[0])[0]).unwrap();
        let meaning = quoted(&row[1]);
        assert_eq!(state.meaning_for(Status::Pending).as_str(), meaning[0], "{row:?}");
        let paid = meaning.get(1).unwrap_or(&meaning[0]);
        assert_eq!(state.meaning_for(Status::Succeeded).as_str(), *paid, "{row:?}");
    }
}

#[tokio::test]
async fn the_operations_document_lists_every_metric() {
    // (A broker that nobody finds: what is counted of it is listed all the same.)
    let app = App::builder().flag("--amqp-url", "amqp://127.0.0.1:1").spawn().await;
    let order = app.create_order().await;
    app.ask(&order).send().await;
    app.report(&order, "succeeded").await;
    app.ask(&order).send().await; // the first to see it
    let text = Answer::to(app.http.get(app.url("/metrics"))).await.text;
    let told = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let names: BTreeSet<_> = told.map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(first_words(&read("docs/operations.md"), "metrics"), names);
}

#[test]
fn the_message_documents_name_every_event_type_key_exchange_and_queue() {
    let types = literals_of(
        read("src/domain/event.rs").split_once("impl EventKind").unwrap().1,
        "as_str",
    );
    let types: BTreeSet<_> = types.into_iter().filter(|text| text.contains('.')).collect();
    assert_eq!(types.len(), EventKind::ALL.len(), "{types:?}");
    let page = read("docs/messages.md");
    let machine: serde_json::Value = serde_yaml_ng::from_str(&read("docs/asyncapi.yaml")).unwrap();
    assert_eq!(machine["asyncapi"], "3.0.0");
    let texts = |value: &serde_json::Value| -> BTreeSet<String> {
        let items = value.as_array().unwrap().iter();
        items.map(|item| item.as_str().unwrap().to_owned()).collect()
    };
    let schemas = &machine["components"]["schemas"];
    assert_eq!(texts(&schemas["event"]["properties"]["type"]["enum"]), types);
    for kind in &types {
        assert!(page.contains(&format!("`{kind}`")), "{kind}");
    }
    let statuses: BTreeSet<_> = TRANSITIONS.iter().map(|(from, _)| from.to_string()).collect();
    let keys = texts(&machine["channels"]["events"]["parameters"]["status"]["enum"]);
    let others: BTreeSet<_> = keys.difference(&statuses).map(String::as_str).collect();
    assert!(statuses.is_subset(&keys), "{keys:?}");
    assert_eq!(others, BTreeSet::from(["rejected", "updated"]));
    for key in &keys {
        assert!(page.contains(&format!("| `order.{key}` |")), "{key}");
    }
    let amqp = |channel: &str| &machine["channels"][channel]["bindings"]["amqp"];
    assert_eq!(amqp("events")["exchange"]["name"], rabbitmq::EXCHANGE);
    assert_eq!(amqp("updates")["queue"]["name"], intake::UPDATES);
    assert_eq!(amqp("deadLetters")["queue"]["name"], intake::DEAD);
    for name in [rabbitmq::EXCHANGE, intake::UPDATES, intake::DEAD] {
        assert!(page.contains(&format!("`{name}`")), "{name}");
    }
    every_reference_leads_somewhere(&machine, &machine);
}

#[test]
fn the_documents_list_every_event_type_for_the_feed_and_for_webhooks() {
    let types: BTreeSet<_> = EventKind::ALL.iter().map(ToString::to_string).collect();
    let (api, webhooks) = (read("docs/api.md"), read("docs/webhooks.md"));
    let row = api.lines().find(|line| line.starts_with("| `types` |")).unwrap();
    let list = webhooks.split_once("\nTypes: ").unwrap().1.split_once(". ").unwrap().0;
    for listed in [row.split_once(':').unwrap().1, list] {
        let listed: BTreeSet<_> = quoted(listed).into_iter().map(ToOwned::to_owned).collect();
        assert_eq!(listed, types);
    }
}

fn every_reference_leads_somewhere(value: &serde_json::Value, document: &serde_json::Value) {
    match value {
        serde_json::Value::Object(members) => {
            if let Some(reference) = members.get("$ref").and_then(|reference| reference.as_str()) {
                let pointer = reference.strip_prefix('#').unwrap();
                assert!(document.pointer(pointer).is_some(), "{reference}");
            }
            members
                .values()
                .for_each(|value| every_reference_leads_somewhere(value, document));
        }
        serde_json::Value::Array(items) => {
            for item in items {
                every_reference_leads_somewhere(item, document);
            }
        }
        _ => {}
    }
}

/// Paths in the sources' tree that the documents name, and links from one document to another.
#[test]
fn every_file_that_a_document_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for document in [
        "README.md",
        "README.zh-CN.md",
        "CONTRIBUTING.md",
        "docs/architecture.md",
        "docs/api.md",
        "docs/messages.md",
        "docs/operations.md",
        "docs/reliability.md",
        "docs/webhooks.md",
    ] {
        let (text, here) = (read(document), root.join(document));
        let links = text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap());
        for link in links.filter(|link| !link.starts_with("http")) {
            let file = link.split('#').next().unwrap();
            assert!(
                file.is_empty() || here.parent().unwrap().join(file).exists(),
                "{document} links {link}"
            );
        }
        for word in text
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|word| word.split('.').next_back() == Some("rs"))
        {
            assert!(
                root.join("src").join(word).exists() || root.join(word).exists(),
                "{document} names {word}"
            );
        }
    }
}
