//! Waiting, answering, and that an answer holds for what was shown alone.

use miosa_api::limits::APPROVAL_KEPT;

use super::*;

fn question(sandbox: &str, whole: &str) -> Question {
    Question {
        asker: Asker {
            tenant_id: "t".to_owned(),
            sandbox_id: sandbox.to_owned(),
            connector: "github/bot".to_owned(),
        },
        calls: vec![ApprovalCall {
            method: "tools/call".to_owned(),
            name: Some("merge".to_owned()),
            arguments: "{}".to_owned(),
        }],
        whole: whole.to_owned(),
    }
}

fn answer(id: &str, approve: bool) -> ApprovalAnswer {
    ApprovalAnswer {
        id: id.to_owned(),
        tenant_id: "t".to_owned(),
        approve,
        by: "key-1".to_owned(),
        reason: (!approve).then(|| "not on a Friday".to_owned()),
    }
}

/// Asks, and answers as soon as it is listed.
async fn asked(approvals: &Approvals, whole: &str, approve: bool) -> Result<String, Refusal> {
    let answering = async {
        loop {
            let pending = approvals.list("t").into_iter().find(|it| it.waiting);
            if let Some(pending) = pending {
                return approvals.answer(answer(&pending.id, approve)).unwrap();
            }
            tokio::task::yield_now().await;
        }
    };
    let (decided, _) = tokio::join!(approvals.ask(question("s", whole)), answering);
    decided
}

#[tokio::test]
async fn a_person_lets_it_pass_or_not_and_the_decision_has_a_name() {
    let approvals = Approvals::default();
    let rule = asked(&approvals, "merge 1", true).await.unwrap();
    let id = approvals.list("t")[0].id.clone();
    assert_eq!(rule, format!("approval:{id} approved by key-1"));
    let refusal = asked(&approvals, "merge 2", false).await.unwrap_err();
    assert_eq!(refusal.code, RefusalCode::ApprovalDenied);
    assert!(refusal.message.contains("not on a Friday"), "{refusal:?}");
    assert!(refusal.rule().ends_with("denied by key-1"), "{refusal:?}");
    assert_eq!(
        approvals.answer(answer(&id, false)),
        Err(AnswerError::Answered)
    );
    let foreign = ApprovalAnswer {
        tenant_id: "u".to_owned(),
        ..answer(&id, true)
    };
    assert_eq!(approvals.answer(foreign), Err(AnswerError::Unknown));
    assert!(approvals.list("u").is_empty());
}

#[tokio::test(start_paused = true)]
async fn nobody_answers_in_time_and_an_answer_later_holds_for_the_same_once() {
    let approvals = Approvals::default();
    let refusal = approvals.ask(question("s", "merge 1")).await.unwrap_err();
    assert_eq!(refusal.code, RefusalCode::ApprovalMissing);
    let pending = approvals.list("t").remove(0);
    assert_eq!(
        (pending.status, pending.waiting),
        (ApprovalStatus::Pending, false)
    );
    assert!(refusal.hint.contains(&pending.id), "{refusal:?}");

    approvals.answer(answer(&pending.id, true)).unwrap();
    let others = [question("s", "merge 2"), question("other", "merge 1")];
    for other in others {
        assert!(
            approvals.ask(other).await.is_err(),
            "it was shown something else"
        );
    }
    assert!(approvals.ask(question("s", "merge 1")).await.is_ok());
    assert!(
        approvals.ask(question("s", "merge 1")).await.is_err(),
        "twice"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_old_is_forgotten_and_a_caller_that_leaves_does_not_wait() {
    let approvals = Approvals::default();
    let left = tokio::time::timeout(
        std::time::Duration::from_secs(1),
        approvals.ask(question("s", "merge 1")),
    );
    assert!(left.await.is_err());
    let pending = approvals.list("t").remove(0);
    assert!(!pending.waiting);
    tokio::time::advance(APPROVAL_KEPT).await;
    assert_eq!(
        approvals.answer(answer(&pending.id, true)),
        Err(AnswerError::Unknown)
    );
    assert!(approvals.list("t").is_empty());
}

#[tokio::test(start_paused = true)]
async fn no_more_wait_than_a_person_can_look_at() {
    let approvals = Approvals::default();
    for number in 0..APPROVALS_PER_SANDBOX_MAX {
        approvals.enter(question("s", &number.to_string())).unwrap();
    }
    assert!(approvals.enter(question("s", "more")).is_none());
    assert!(approvals.enter(question("other", "more")).is_some());
    let first = approvals.list("t").pop().unwrap();
    approvals.answer(answer(&first.id, false)).unwrap();
    approvals.claim(&first.id);
    assert!(approvals.enter(question("s", "more")).is_some());
}
