"""What `make docs` adds to the pages: reference from the tables, formulas, pictures from other folders.

MkDocs calls these functions as its events of the same names.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
for folder in (ROOT / "firmware", ROOT):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

# Links of pages that leave the site: to files of the repository, seen from docs/.
OUTSIDE = re.compile(r"(!?)\[([^\]]*)\]\(\.\./([^)#]+)(?:#[^)]*)?\)")
BLOCK = re.compile(r"^\$\$\n(.+?)\n\$\$$", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"(?<![\w$\\])\$([^$\n]+?)\$(?![\w$])")

ROOM = "margin: 1.2em 0; overflow-x: auto; overflow-y: hidden"


def on_files(files: Files, config: Any) -> Files:
    """Adds the generated pages, and pictures that pages show from elsewhere in the repository."""
    from host_tools.reference_pages import pages

    for path, content in pages().items():
        files.append(File.generated(config, path, content=content))
    for page in files.documentation_pages():
        for mark, _, target in OUTSIDE.findall(page.content_string):
            if mark and files.get_file_from_path(target) is None:
                files.append(File.generated(config, target, abs_src_path=str(ROOT / target)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Formulas become MathML; a link to a file of the repository becomes its name."""
    if page.file.src_uri.startswith("reference/"):
        return markdown
    markdown = OUTSIDE.sub(stay_inside, markdown)
    markdown = BLOCK.sub(lambda found: f"\n<div style='{ROOM}'>{mathml(found[1], 'block')}</div>\n", markdown)
    # In a span: a line that begins with <math> would be a block to Markdown.
    return INLINE.sub(lambda found: f"<span>{mathml(found[1], 'inline')}</span>", markdown)


def stay_inside(found: re.Match[str]) -> str:
    """A picture from its copy in the site, another file by name."""
    mark, text, target = found.groups()
    if mark:
        return f"![{text}]({target})"
    name = text.strip("`")
    return f"`{target}`" if name in target else f"{text} (`{target}`)"


def mathml(formula: str, display: str) -> str:
    """LaTeX as MathML, which browsers draw by themselves."""
    from latex2mathml.converter import convert

    return convert(" ".join(formula.split()), display=display)
