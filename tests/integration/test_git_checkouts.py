"""What a build reads of its checkout: right about it, and nothing that the repository names is ever run."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from whence_aggregator.whence.attest import source_of_git
from whence_aggregator.whence.git_checkout import Checkout, read_checkout
from whence_common.errors import InputError
from whence_common.git_call import git_arguments, git_environment

PATH = "/usr/local/bin:/usr/bin:/bin"
URL = "https://git.example.org/hello/greeter.git"
_WHO = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "protocol.file.allow=always")


def git(directory: Path, *arguments: str) -> str:
    """Run git as a person would."""
    environment = {"PATH": PATH, "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C"}
    done = subprocess.run(
        ["git", *_WHO, *arguments], cwd=directory, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def repository(directory: Path, *options: str) -> Path:
    directory.mkdir()
    git(directory, "init", "--quiet", "--initial-branch=main", *options, ".")
    git(directory, "remote", "add", "origin", URL)
    (directory / "app.py").write_text("print('hello')\n", encoding="utf-8")
    (directory / "notes").write_text("words\n", encoding="utf-8")
    git(directory, "add", ".")
    git(directory, "commit", "--quiet", "-m", "first")
    return directory


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    return repository(tmp_path / "clone")


def stale(path: Path) -> None:
    """Have git compare a file's content, which runs filters, and not only its dates."""
    os.utime(path, (1_000_000_000, 1_000_000_000))


def read(directory: Path) -> Checkout:
    return read_checkout(directory, path=PATH)


def test_a_clean_checkout_has_its_commit_and_its_remote(clone: Path) -> None:
    assert read(clone) == Checkout(url=URL, commit_id=git(clone, "rev-parse", "HEAD"), changes="")
    source = source_of_git(clone)
    assert (source.url, source.commit_id, source.dirty) == (f"git:{URL}", git(clone, "rev-parse", "HEAD"), False)


@pytest.mark.parametrize(
    "change, seen",
    [
        (lambda at: (at / "app.py").write_text("changed, and longer than before\n"), " M app.py"),
        (lambda at: (at / "app.py").write_text("print('hellO')\n"), " M app.py"),
        (lambda at: (at / "app.py").unlink(), " D app.py"),
        (lambda at: (at / "new").write_text(""), "?? new"),
        (lambda at: ((at / "new").write_text(""), git(at, "add", "new")), "A  new"),
        (lambda at: (at / "app.py").chmod(0o755), " M app.py"),
        (lambda at: ((at / "a\udc80b").write_text("")), '?? "a\\200b"'),
    ],
)  # fmt: skip
def test_what_differs_from_the_commit_is_seen(clone: Path, change: object, seen: str) -> None:
    assert callable(change)
    change(clone)
    assert read(clone).changes == seen
    assert source_of_git(clone).dirty


def test_a_file_that_was_only_touched_is_no_change(clone: Path) -> None:
    stale(clone / "app.py")
    assert read(clone).changes == ""


HOSTILE = {
    "core.fsmonitor": "{run}", "core.sshCommand": "{run}", "core.pager": "{run}", "core.editor": "{run}",
    "core.askPass": "{run}", "core.gitProxy": "{run}", "core.alternateRefsCommand": "{run}",
    "gpg.program": "{run}", "gpg.ssh.program": "{run}", "gpg.format": "ssh", "log.showSignature": "true",
    "diff.external": "{run}", "diff.evil.command": "{run}", "diff.evil.textconv": "{run}",
    "filter.evil.clean": "{run}", "filter.evil.smudge": "{run}", "filter.evil.process": "{run}", "filter.evil.required": "true",
    "merge.evil.driver": "{run}", "credential.helper": "!{run}", "alias.status": "!{run}", "alias.config": "!{run}",
    "alias.rev-parse": "!{run}", "alias.ls-files": "!{run}", "pager.status": "{run}", "pager.rev-parse": "{run}",
    "uploadpack.packObjectsHook": "{run}", "trailer.x.command": "{run}", "interactive.diffFilter": "{run}",
    "difftool.x.cmd": "{run}", "sequence.editor": "{run}", "submodule.recurse": "true", "status.submoduleSummary": "true",
    "extensions.partialClone": "origin", "remote.origin.promisor": "true", "remote.origin.uploadpack": "{run}",
    "remote.origin.vcs": "evil", "include.path": "{included}", "includeIf.gitdir:/.path": "{included}",
}  # fmt: skip


def poisoned(directory: Path, marks: Path) -> Path:
    """Have a repository name a program wherever it can; return the file that it writes."""
    marks.mkdir(exist_ok=True)
    ran, run = marks / "ran", marks / "run"
    run.write_text(f'#!/bin/sh\necho "$0 $@ $WHENCE_KEY_PASSWORD" >> {ran}\ncat\n', encoding="ascii")
    run.chmod(0o755)
    included = marks / "included"
    included.write_text(f'[core]\n\tfsmonitor = {run}\n[filter "evil"]\n\tclean = {run}\n', encoding="ascii")
    git_directory = Path(git(directory, "rev-parse", "--absolute-git-dir"))
    (directory / ".gitattributes").write_text("* filter=evil diff=evil merge=evil\n", encoding="ascii")
    for name in ("post-index-change", "fsmonitor-watchman", "pre-commit", "reference-transaction", "post-checkout"):
        hook = git_directory / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_bytes(run.read_bytes())
        hook.chmod(0o755)
    git(directory, "add", ".gitattributes")
    git(directory, "commit", "--quiet", "-m", "attributes")
    ran.unlink(missing_ok=True)
    for name, value in HOSTILE.items():
        with (git_directory / "config").open("a", encoding="utf-8") as config:
            section, _, key = name.rpartition(".")
            first, _, rest = section.partition(".")
            header = f'[{first} "{rest}"]' if rest else f"[{first}]"
            config.write(f'{header}\n\t{key} = "{value.format(run=run, included=included)}"\n')
    return ran


def test_nothing_that_a_hostile_repository_names_is_run(
    clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHENCE_KEY_PASSWORD", "hunter2")
    ran = poisoned(clone, tmp_path / "marks")
    stale(clone / "app.py")
    found = read(clone)
    assert not ran.exists()
    assert (found.url, found.changes, len(found.commit_id)) == (URL, "", 40)
    (clone / "app.py").write_text("changed, and longer than before\n", encoding="utf-8")
    assert source_of_git(clone).dirty
    assert not ran.exists()


@pytest.mark.parametrize("setting", ["core.fsmonitor", "filter.evil.clean", "include.path"])
def test_git_itself_would_run_it(clone: Path, tmp_path: Path, setting: str) -> None:
    """Without this, the test before it could prove nothing."""
    ran = poisoned(clone, tmp_path / "marks")
    config = clone / ".git" / "config"
    config.write_text("[core]\n\trepositoryformatversion = 0\n", encoding="ascii")
    value = HOSTILE[setting].format(run=tmp_path / "marks" / "run", included=tmp_path / "marks" / "included")
    git(clone, "config", setting, value)
    stale(clone / "app.py")
    git(clone, "status", "--porcelain")
    assert ran.exists()


def test_a_hostile_submodule_runs_nothing_and_its_changes_are_seen(clone: Path, tmp_path: Path) -> None:
    inner = repository(tmp_path / "inner")
    git(clone, "submodule", "--quiet", "add", str(inner), "lib/inner")
    git(clone, "commit", "--quiet", "-m", "submodule")
    assert read(clone).changes == ""
    ran = poisoned(clone / "lib" / "inner", tmp_path / "marks")
    assert read(clone).changes == " M lib/inner"  # poisoning it made a commit there
    git_directory = Path(git(clone, "rev-parse", "--absolute-git-dir")) / "modules" / "lib" / "inner"
    assert git_directory.is_dir()
    commit = (git_directory / "refs" / "heads" / "main").read_text(encoding="ascii").strip()
    git(clone, "update-index", "--cacheinfo", f"160000,{commit},lib/inner")
    tree = git(clone, "write-tree")
    git(clone, "update-ref", "HEAD", git(clone, "commit-tree", tree, "-p", "HEAD", "-m", "moved"))
    stale(clone / "lib" / "inner" / "app.py")
    assert read(clone).changes == ""
    (clone / "lib" / "inner" / "app.py").write_text("changed, and longer than before\n", encoding="utf-8")
    assert read(clone).changes == " M lib/inner"
    assert not ran.exists()


def test_another_work_tree_that_the_repository_names_is_not_looked_at(clone: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    git(clone, "config", "core.worktree", str(elsewhere))
    assert read(clone).changes == ""


def test_a_worktree_a_directory_below_and_a_detached_head_are_read(clone: Path, tmp_path: Path) -> None:
    git(clone, "branch", "other")
    git(clone, "worktree", "add", "--quiet", str(tmp_path / "tree"), "other")
    (tmp_path / "tree" / "below").mkdir()
    (tmp_path / "tree" / "below" / "file").write_text("", encoding="ascii")
    found = read(tmp_path / "tree" / "below")
    assert (found.url, found.commit_id, found.changes) == (URL, git(clone, "rev-parse", "other"), "?? below/")
    git(clone, "checkout", "--quiet", "--detach")
    git(clone, "pack-refs", "--all")
    assert read(clone).commit_id == git(clone, "rev-parse", "HEAD")


def test_ignored_files_line_ends_split_indexes_and_sha256_are_as_git_has_them(clone: Path, tmp_path: Path) -> None:
    (clone / ".git" / "info" / "exclude").write_text("*.o\n", encoding="ascii")
    (clone / "app.o").write_text("", encoding="ascii")
    git(clone, "config", "core.autocrlf", "true")
    (clone / "notes").unlink()
    git(clone, "checkout", "--quiet", "notes")
    assert (clone / "notes").read_bytes() == b"words\r\n"
    git(clone, "update-index", "--split-index")
    stale(clone / "notes")
    assert read(clone).changes == ""
    other = repository(tmp_path / "sha256", "--object-format=sha256")
    assert len(read(other).commit_id) == 64


def test_a_shallow_clone_is_read(clone: Path, tmp_path: Path) -> None:
    (clone / "app.py").write_text("second\n", encoding="utf-8")
    git(clone, "commit", "--quiet", "-am", "second")
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{clone}", "shallow")
    assert read(tmp_path / "shallow").commit_id == git(clone, "rev-parse", "HEAD")


@pytest.mark.parametrize(
    "head", ["ref: ../../../../etc/passwd\n", "ref: refs/heads/x y\n", "--upload-pack=x\n", "", "\0"]
)
def test_a_head_that_is_none_is_refused(clone: Path, head: str) -> None:
    (clone / ".git" / "HEAD").write_text(head, encoding="ascii")
    with pytest.raises(InputError) as caught:
        read(clone)
    assert caught.value.code == "git-failed"


def test_a_pipe_in_place_of_a_file_is_not_waited_for(clone: Path) -> None:
    (clone / ".git" / "HEAD").unlink()
    os.mkfifo(clone / ".git" / "HEAD")
    with pytest.raises(InputError, match="not a file"):
        read(clone)


def test_what_is_no_clone_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not in a clone"):
        read(tmp_path)
    (tmp_path / ".git").write_text("gitdir: /nonexistent\n", encoding="ascii")
    with pytest.raises(InputError, match="does not name a Git directory"):
        read(tmp_path)


def test_git_gets_no_secret_and_is_not_looked_for_beside_the_sources(clone: Path, tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "git").write_text(
        f'#!/bin/sh\ntr "\\0" "\\n" < /proc/$$/environ >> {tmp_path}/given\nexec /usr/bin/git "$@"\n', encoding="ascii"
    )
    (programs / "git").chmod(0o755)
    evil = clone / "git"
    evil.write_text(f"#!/bin/sh\ntouch {tmp_path}/evil\n", encoding="ascii")
    evil.chmod(0o755)
    before = Path.cwd()
    os.chdir(clone)
    os.environ["WHENCE_KEY_PASSWORD"] = os.environ["AWS_SECRET_ACCESS_KEY"] = "hunter2"
    try:
        assert read_checkout(clone, path=f".::{programs}:/usr/bin:/bin").changes == "?? git"
    finally:
        os.chdir(before)
        del os.environ["WHENCE_KEY_PASSWORD"], os.environ["AWS_SECRET_ACCESS_KEY"]
    given = (tmp_path / "given").read_text(encoding="utf-8")
    assert "hunter2" not in given
    assert f"PATH={programs}:/usr/bin:/bin" in given
    assert not (tmp_path / "evil").exists()


def test_git_is_called_in_one_way_everywhere() -> None:
    called = git_arguments("status", protocols=("https",), settings=("a=b",))
    assert called[:3] == ["git", "--no-pager", "--no-optional-locks"]
    assert called[-5:] == ["-c", "protocol.https.allow=always", "-c", "a=b", "status"]
    assert called.index("protocol.allow=never") < called.index("protocol.https.allow=always")
    assert git_environment()["GIT_ALLOW_PROTOCOL"] == "none"
    sources = Path(__file__).parents[2]
    for folder in ("agent", "aggregator", "common"):
        for file in (sources / folder / "src").rglob("*.py"):
            if file.name != "git_call.py":
                assert '"git", "-' not in file.read_text(encoding="utf-8"), f"{file} calls git by itself"
