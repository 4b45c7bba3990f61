//! The definitions that come with the program: every file of `connectors/`.

macro_rules! shipped {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../../../connectors/", $name)))),*]
    };
}

/// Name and text of each file.
pub(super) const SHIPPED: &[(&str, &str)] = shipped![
    "anthropic.toml",
    "aws.toml",
    "cloudflare.toml",
    "confluence.toml",
    "figma.toml",
    "github.toml",
    "gitlab.toml",
    "google.toml",
    "huggingface.toml",
    "jira.toml",
    "linear.toml",
    "notion.toml",
    "npm.toml",
    "openai.toml",
    "openrouter.toml",
    "pypi.toml",
    "refero-design-research.toml",
    "sentry.toml",
    "slack.toml",
    "stripe.toml",
    "supabase.toml",
    "vercel.toml",
];
