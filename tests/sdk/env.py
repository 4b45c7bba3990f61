"""Plain variables of a sandbox: set, list without values, remove."""

import miosa
from _support import client, raises, sandbox

user = client()
with sandbox(user, env={"FIRST": "one"}) as box:
    box.env.set([{"key": "SECOND", "value": "two words"}, {"key": "THIRD", "value": "grün", "encrypted": False}])
    listed = {row["name"]: row for row in box.env.list()}
    assert set(listed) == {"FIRST", "SECOND", "THIRD"} and box.env.get(), listed
    assert "two words" not in str(listed), listed
    assert box.exec.run("echo $FIRST-$SECOND-$THIRD").stdout == "one-two words-grün\n"
    box.env.set([{"key": "FIRST", "value": "changed"}])
    assert box.exec.run("echo $FIRST$SECOND").stdout == "changedtwo words\n", "others stay"
    box.env.delete("SECOND")
    assert box.exec.run("echo $FIRST$SECOND").stdout == "changed\n"
    with raises(miosa.NotFoundError, "NOT_FOUND"):
        box.env.delete("SECOND")
    for name in ("1X", "A B", ""):
        with raises(miosa.ValidationError, status=422):
            box.env.set([{"key": name, "value": "x"}])
