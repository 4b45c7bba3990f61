//! One row being tried: its steps, and what they left at provider, attacker and audit.

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::lab::Lab;
use crate::row::{Row, Section};

/// One thing that was tried, and what came of it.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Step {
    /// What was tried.
    pub name: String,
    /// What must happen.
    pub required: String,
    /// What happened.
    pub seen: String,
    /// Whether that is what must happen.
    pub ok: bool,
    /// Code of the refusal, if it was one.
    #[serde(default)]
    pub code: Option<String>,
    /// How many requests with a credential it may have brought to the provider.
    #[serde(default)]
    pub uses: usize,
    /// Everything received, base64.
    #[serde(default)]
    pub got: String,
    /// Whether the refusal comes from where no audit can be written on purpose.
    #[serde(default)]
    pub no_audit: bool,
}

/// A row in its laboratory.
pub struct Trial<'a> {
    /// Everything that runs.
    pub lab: &'a Lab,
    /// The section's attack program.
    program: &'static str,
    /// The row.
    pub row: &'static Row,
    pub(crate) steps: Vec<Step>,
    pub(crate) received: Vec<u8>,
}

impl<'a> Trial<'a> {
    pub(crate) const fn new(lab: &'a Lab, section: &'static Section, row: &'static Row) -> Self {
        Self {
            lab,
            program: section.program.0,
            row,
            steps: Vec::new(),
            received: Vec::new(),
        }
    }

    /// Runs a function of the section's program in the first sandbox.
    pub async fn inside(&mut self, function: &str, argument: Value) -> Result<Value> {
        let sandbox = self.lab.first.clone();
        self.inside_of(&sandbox, function, argument).await
    }

    /// Runs a function of the section's program in a sandbox: its steps become this row's. Gives back
    /// what the function returned.
    pub async fn inside_of(
        &mut self,
        sandbox: &str,
        function: &str,
        argument: Value,
    ) -> Result<Value> {
        let call = json!({"function": function, "argument": argument, "names": self.lab.names()});
        let answer = self.lab.python(sandbox, self.program, &call).await?;
        self.absorb(&answer)
    }

    /// Runs `meanwhile` as soon as a function running in `sandbox` says that it is ready, and tells it to go
    /// on afterwards. The function gets a path as its argument: it makes `<path>.ready` and waits for
    /// `<path>.go`.
    pub async fn around<T>(
        &mut self,
        sandbox: &str,
        function: &str,
        meanwhile: impl Future<Output = Result<T>>,
    ) -> Result<(Value, T)> {
        let mark = format!("/tmp/selftest-{}", uuid::Uuid::new_v4().simple());
        let call = json!({"function": function, "argument": mark, "names": self.lab.names()});
        let lab = self.lab;
        let outside = async {
            let ready = format!(
                "for i in $(seq 3000); do [ -e {mark}.ready ] && exit; sleep 0.02; done; exit 1"
            );
            let answer = lab.world.exec(sandbox, &ready).await?;
            ensure!(answer["exit_code"] == 0, "`{function}` does not get ready");
            let result = meanwhile.await;
            lab.world.exec(sandbox, &format!("touch {mark}.go")).await?;
            result
        };
        let (answer, result) = tokio::join!(lab.python(sandbox, self.program, &call), outside);
        let value = self.absorb(&answer?)?;
        Ok((value, result?))
    }

    /// Takes over the steps of a program's output.
    pub fn absorb(&mut self, answer: &Value) -> Result<Value> {
        let stdout = answer["stdout"].as_str().unwrap_or_default();
        self.received.extend_from_slice(stdout.as_bytes());
        ensure!(
            answer["exit_code"] == 0,
            "the attack program failed: {answer}"
        );
        let last = stdout.lines().last().unwrap_or_default();
        let mut result: Value = serde_json::from_str(last)
            .with_context(|| format!("the attack program said: {stdout}"))?;
        let steps: Vec<Step> = serde_json::from_value(result["steps"].take())?;
        for step in &steps {
            self.received.extend(STANDARD.decode(&step.got)?);
        }
        self.steps.extend(steps);
        Ok(result["value"].take())
    }

    /// Notes something seen from outside.
    pub fn check(&mut self, name: &str, required: &str, ok: bool, seen: impl Into<String>) {
        self.steps.push(Step {
            name: name.to_owned(),
            required: required.to_owned(),
            seen: seen.into(),
            ok,
            ..Step::default()
        });
    }

    /// Runs the CLI, which may fail, and gives its JSON; its whole output is searched for values.
    pub async fn cli(&mut self, arguments: &[&str]) -> Result<Value> {
        let output = self.lab.world.run(arguments).await?;
        self.received.extend_from_slice(&output.stdout);
        self.received.extend_from_slice(&output.stderr);
        Ok(serde_json::from_slice(&output.stdout).unwrap_or_default())
    }
}
