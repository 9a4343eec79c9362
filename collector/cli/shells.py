r"""How bash, zsh and fish call the collector to complete a word, and how each gets what it inserts.

Click's own scripts insert a name as it is, so that a space in it ends the word, and cut the line in words of their own.
Bash inserts what it gets, so it gets names quoted, without the part of the word that stays. Zsh and fish quote.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
)

from collector.cli.shell_words import Typed, for_bash

VARIABLE = "_COLLECTOR_COMPLETE"  # as in `collector.cli.main`
_LINE, _BREAKS = "_COLLECTOR_LINE", "_COLLECTOR_BREAKS"  # COMP_WORDBREAKS would not pass through a wrapper in bash
_OPTION = re.compile(r"--[a-z][a-z-]*=")  # before a value in the same word

_BASH = """\
%(complete_func)s() {
    local line
    while IFS= read -r line; do
        case $line in
            dir,*) compopt -o dirnames ;;
            file,*) compopt -o default ;;
            plain,*) COMPREPLY+=("${line#plain,}") ;;
        esac
    done < <(env _COLLECTOR_LINE="${COMP_LINE:0:COMP_POINT}" _COLLECTOR_BREAKS="$COMP_WORDBREAKS" \\
        %(complete_var)s=bash_complete "${1/#\\~/$HOME}" 2>/dev/null)
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""
_ZSH = """\
#compdef %(prog_name)s

%(complete_func)s() {
    local -a completions completions_with_descriptions response
    local type key descr
    (( ! $+commands[%(prog_name)s] )) && return 1

    response=("${(@f)$(env COMP_WORDS="${(pj:\\n:)${(@Q)words[1,CURRENT-1]}}" COMP_CWORD="${(Q)PREFIX}" \\
        %(complete_var)s=zsh_complete %(prog_name)s 2>/dev/null)}")

    for type key descr in ${response}; do
        if [[ "$type" == "plain" ]]; then
            if [[ "$descr" == "_" ]]; then
                completions+=("$key")
            else
                completions_with_descriptions+=("$key":"$descr")
            fi
        else
            [[ $PREFIX == --[a-z-]*=* ]] && compset -P 1 '*='
            if [[ "$type" == "dir" ]]; then _path_files -/; else _path_files -f; fi
        fi
    done

    if [ -n "$completions_with_descriptions" ]; then
        _describe -V unsorted completions_with_descriptions -U
    fi

    if [ -n "$completions" ]; then
        compadd -U -V unsorted -a completions
    fi
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    %(complete_func)s "$@"
else
    compdef %(complete_func)s %(prog_name)s
fi
"""
_FISH = """\
function %(complete_func)s
    set -l words (commandline -opc)
    set -l token (commandline -ct)
    set -l before (string match -r -- '^--[a-z-]+=' "$token")
    for line in (env COMP_WORDS=(string join \\n -- $words | string collect) COMP_CWORD="$token" \\
            %(complete_var)s=fish_complete %(prog_name)s 2>/dev/null)
        set -l found (string split -m 1 , -- $line)
        switch $found[1]
            case dir
                __fish_complete_directories $found[2] | string replace -r '^' -- "$before"
            case file
                __fish_complete_path $found[2] | string replace -r '^' -- "$before"
            case plain
                echo -- $found[2]
        end
    end
end

complete --no-files --command %(prog_name)s --arguments "(%(complete_func)s)"
"""


class Bash(BashComplete):
    """It gets what readline inserts in place of the part of the word that it replaces."""

    source_template = _BASH

    def complete(self) -> str:
        """Return a line for each completion."""
        typed = Typed.of(os.environ.get(_LINE, ""), breaks=os.environ.get(_BREAKS, ""))
        before = _before(typed.word)
        lines = []
        for item in self.get_completions(typed.words[1:], typed.word):
            if item.type != "plain":
                lines.append(f"{item.type},")
                continue
            whole = before + item.value
            lines.append(f"plain,{for_bash(whole[typed.fixed :], typed.quote)}")
        return "\n".join(lines)


class Zsh(ZshComplete):
    """It gets whole words as they are, and quotes them."""

    source_template = _ZSH

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the one that is typed, and that one."""
        return os.environ.get("COMP_WORDS", "").split("\n")[1:], os.environ.get("COMP_CWORD", "")

    def format_completion(self, item: CompletionItem[str]) -> str:
        """Return the type, the value and the description, a line each."""
        return super().format_completion(_whole(item, os.environ.get("COMP_CWORD", "")))


class Fish(FishComplete):
    """It gets whole words as they are, and quotes them."""

    source_template = _FISH

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the one that is typed, and that one."""
        return os.environ.get("COMP_WORDS", "").split("\n")[1:], self._word

    def format_completion(self, item: CompletionItem[str]) -> str:
        """Return the type, the value and the description in a line."""
        return super().format_completion(_whole(item, self._word))

    @property
    def _word(self) -> str:
        return Typed.of(os.environ.get("COMP_CWORD", ""), is_fish=True).word


SHELLS: Mapping[str, type[ShellComplete]] = {"bash": Bash, "zsh": Zsh, "fish": Fish}


def register() -> None:
    """Let click answer these shells so."""
    for name, kind in SHELLS.items():
        add_completion_class(kind, name)


def _before(word: str) -> str:
    """Return `--option=` if a value follows it in the word: the shell replaces both."""
    found = _OPTION.match(word)
    return found[0] if found else ""


def _whole(item: CompletionItem[str], word: str) -> CompletionItem[str]:
    if item.type != "plain":
        return item
    return CompletionItem(_before(word) + item.value, type=item.type, help=item.help)
