"""What the pages say exists: settings, anchors, names, commands, rpcs. e2e/test_pages.py runs them."""

from __future__ import annotations

import ast
import inspect
import json
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from google.protobuf import json_format, message_factory

import penult
from penult.cli.app import app
from penult.v1 import backbone_pb2, feature_pb2
from penult_server.settings import Settings, markdown_table
from protos import reference
from tests.page_blocks import PAGES, ROOT, of_language


def parameters(language: str) -> list[Any]:
    return [pytest.param(block.code, id=str(block)) for block in of_language(language)]


def test_settings_page_ends_with_the_table_of_the_code() -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert page.endswith("\n\n" + markdown_table()), "put the output of `penult-server settings` at the end"


def test_fine_tuning_page_ends_with_the_table_of_the_code() -> None:
    from penult_server.engine.finetune.settings import markdown_table

    page = (ROOT / "docs" / "finetuning.md").read_text(encoding="utf-8")
    assert page.endswith("\n\n" + markdown_table())


def test_heads_page_has_the_table_of_the_code() -> None:
    from penult_server.engine.heads.registry import markdown_table

    page = (ROOT / "docs" / "heads.md").read_text(encoding="utf-8")
    assert "\n\n" + markdown_table() + "\n" in page, "put in what heads.registry.markdown_table() gives"


def test_api_page_is_what_the_protos_and_the_source_say() -> None:
    buf = shutil.which("buf", path=str(Path(sys.executable).parent)) or shutil.which("buf")
    if buf is None:
        pytest.skip("buf is not installed")
    made = reference.page(buf)
    assert reference.PAGE.read_text(encoding="utf-8") == made, "python -m protos.reference --buf $(which buf)"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_a_heading(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for file, anchor in re.findall(r"\]\(([^)\s:#]*)#([^)\s]+)\)", text):
        target = (page.parent / file) if file else page
        assert target.is_file(), f"{file} does not exist"
        assert anchor in set(anchors(target)), f"{target.name} has no heading for #{anchor}"


def anchors(page: Path) -> Iterator[str]:
    """As the common Markdown renderers derive them from headings."""
    for heading in re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("code", parameters("python"))
def test_python_snippet_uses_names_that_exist(code: str) -> None:
    tree = ast.parse(code)
    # Only what is reachable from the package or from a client can be looked up without running it.
    names: dict[str, object] = {"penult": penult, "client": penult.Client()}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("penult"):
            module = __import__(node.module or "", fromlist=["_"])
            for alias in node.names:
                names[alias.asname or alias.name] = getattr(module, alias.name)
        if isinstance(node, ast.withitem) and "AsyncClient" in ast.unparse(node.context_expr):
            names["client"] = penult.AsyncClient
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            resolve(node, names)
        if isinstance(node, ast.Call):
            check_keywords(node, names)


def resolve(node: ast.expr, names: dict[str, object]) -> object:
    """The object that a dotted name stands for; None where it is a value known only at run time."""
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if not isinstance(node, ast.Attribute):
        return None
    owner = resolve(node.value, names)
    if owner is None or (owner is penult.AsyncClient and node.attr == "backbones"):
        return None
    assert hasattr(owner, node.attr), f"{ast.unparse(node)} does not exist"
    return getattr(owner, node.attr)


def check_keywords(call: ast.Call, names: dict[str, object]) -> None:
    function = resolve(call.func, names)
    if not callable(function):
        return
    parameters = inspect.signature(function).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    for keyword in call.keywords:
        assert keyword.arg is None or keyword.arg in parameters, f"{ast.unparse(call)}: no {keyword.arg}="


@pytest.mark.parametrize("code", parameters("sh"))
def test_shell_snippet_uses_commands_that_exist(code: str) -> None:
    targets = set(
        re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    )
    for line in code.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True) if line.startswith(("make", "penult")) else []
        if words[:1] == ["make"]:
            assert {word for word in words[1:] if "=" not in word} <= targets, line
        elif words[:1] == ["penult"]:
            check_command(words[1:])
        elif words[:2] == ["penult-server", "serve"]:
            known = {"--" + name.replace("_", "-") for name in Settings.model_fields} | {"--config"}
            assert {word.split("=")[0] for word in words if word.startswith("--")} <= known, line


def check_command(words: list[str]) -> None:
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands") and words:
        assert words[0] in command.commands, f"penult has no command {words[0]!r}"
        command, words = command.commands[words[0]], words[1:]
    known = {"--help"}
    for parameter in command.params:
        known |= {*parameter.opts, *parameter.secondary_opts}
    used = {word.split("=")[0] for word in words if word.startswith("--")}
    assert used <= known, f"{command.name} has no {used - known}"


def test_grpcurl_example_is_a_request_that_the_server_knows() -> None:
    example = re.search(
        r"grpcurl .* (penult\.v1\.\w+)/(\w+) <<EOF\n(.*?)\nEOF",
        PAGES[0].read_text(encoding="utf-8"),
        re.DOTALL,
    )
    assert example
    service_name, method_name, body = example.groups()
    services = {
        service.full_name: service
        for module in (feature_pb2, backbone_pb2)
        for service in module.DESCRIPTOR.services_by_name.values()
    }
    request = services[service_name].methods_by_name[method_name].input_type
    json_text = re.sub(r"\$\(.*?\)\"", 'aGVsbG8="', body)
    parsed: Any = json_format.ParseDict(json.loads(json_text), message_factory.GetMessageClass(request)())
    assert parsed.images[0].encoded == b"hello"
