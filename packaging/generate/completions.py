# SPDX-License-Identifier: Apache-2.0
"""Completions for bash and zsh: options, their choices, folders, files and runs where a value is one, arguments by their place, commands."""
import re
import shlex

from facts import Command, Option

HEAD = "# SPDX-License-Identifier: Apache-2.0\n# Made by packaging/generate from what the programs say of themselves.\n"


def words(option: Option) -> list[str]:
    return [f"{name}=" if option.only_equals else name for name in option.names]


def function_of(name: str) -> str:
    return "_" + re.sub(r"\W", "_", name)


# --- bash ---


def values_of(option: Option, indent: str) -> str:
    found = {"folder": ["compgen -d"], "file": ["compgen -f"],
             "run": ["compgen -W latest", "cd results/runs 2>/dev/null && compgen -d", "compgen -d"]}.get(option.takes or "", [])
    if option.choices:
        found = [f"compgen -W {shlex.quote(' '.join(option.choices))}"]
    if option.or_file:
        found += ["compgen -f -X '!*.toml'", "compgen -d"]
    offered = " ".join(f'$({one} -- "$word")' for one in found)
    return f"{indent}COMPREPLY=({offered})\n" if offered else ""


def arguments_of(command: Command, indent: str) -> list[str]:
    """What completes an argument: `place` counts those before it, from the word behind the command on. An option's value is none."""
    known = [(number, argument, text) for number, argument in enumerate(command.arguments)
             if (text := values_of(argument, indent + "        "))]
    if not known:
        return []
    valued = [name for option in command.options if option.argument for name in option.names]
    lines = [f"{indent}local i place=0", f"{indent}for ((i = first; i < COMP_CWORD; i++)); do", f"{indent}    case ${{COMP_WORDS[i]}} in"]
    if valued:
        lines += [f"{indent}    {'|'.join(valued)})", f"{indent}        [[ ${{COMP_WORDS[i + 1]}} == '=' ]] && ((i++))",
                  f"{indent}        ((i++))", f"{indent}        ;;"]
    lines += [f"{indent}    -*) ;;", f"{indent}    *) ((place++)) ;;", f"{indent}    esac", f"{indent}done", f"{indent}if [[ $word != -* ]]; then",
              f"{indent}    case $place in"]
    for number, argument, text in known:
        lines += [f"{indent}    {'*' if argument.several else number})", f"{text}{indent}        return", f"{indent}        ;;"]
    return [*lines, f"{indent}    esac", f"{indent}fi"]


def bash_command(command: Command, indent: str) -> str:
    """What completes `word` behind `before`, in a command's arguments."""
    lines = [f"{indent}case $before in"]
    plain = []
    for option in command.options:
        if option.argument and (text := values_of(option, indent + "    ")):
            lines += [f"{indent}{'|'.join(option.names)})", f"{text}{indent}    return", f"{indent}    ;;"]
        elif option.argument:
            plain += option.names
    if plain:
        lines += [f"{indent}{'|'.join(plain)})", f"{indent}    return", f"{indent}    ;;"]
    lines += [f"{indent}esac"]
    offered = " ".join(word for option in command.options for word in words(option))
    lines += arguments_of(command, indent)
    lines += [f"{indent}COMPREPLY=($(compgen -W {shlex.quote(offered)} -- \"$word\"))"]
    return "\n".join(lines) + "\n"


BASH_BEGIN = r"""
{function}()
{{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} first=1
    COMPREPLY=()
    # --name=value comes as three words
    if [[ $word == '=' ]]; then
        word=
    elif [[ $before == '=' ]]; then
        before=${{COMP_WORDS[COMP_CWORD-2]}}
    fi
"""


def bash(command: Command) -> str:
    function = function_of(command.name)
    text = HEAD + BASH_BEGIN.format(function=function)
    if command.commands:
        names = " ".join(one.name for one in command.commands)
        text += "    local chosen=\n    for ((; first < COMP_CWORD; first++)); do\n        case ${COMP_WORDS[first]} in\n"
        text += f"        {names.replace(' ', '|')})\n            chosen=${{COMP_WORDS[first++]}}\n            break\n            ;;\n        esac\n    done\n"
        text += "    case $chosen in\n"
        for one in command.commands:
            text += f"    {one.name})\n{bash_command(one, '        ')}        ;;\n"
        first = Command(command.name, "", options=command.options, arguments=[Option(["COMMAND"], "COMMAND", "", choices=names.split())])
        text += f"    *)\n        first=1\n{bash_command(first, '        ')}        ;;\n    esac\n"
    else:
        text += bash_command(command, "    ")
    text += "    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]]; then\n        compopt -o nospace 2>/dev/null\n    fi\n"
    return text + f"}}\ncomplete -F {function} {command.name}\n"


# --- zsh ---


def quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


RUNS, TOML_FILES = "_poolmark_runs", "_poolmark_choices"


def zsh_helpers(command: Command) -> list[str]:
    """Functions for what is completed from two places. "$@": what _arguments wants to be said of the matches."""
    every = [option for one in (command, *command.commands) for option in (*one.options, *one.arguments)]
    lines = []
    if any(option.takes == "run" for option in every):
        lines += [f"{RUNS}()", "{", "    local -a runs=(latest results/runs/*(/N:t))", '    compadd "$@" -a runs', '    _files "$@" -/', "}"]
    for option in every:
        if option.or_file:
            lines += [f"{TOML_FILES}()", "{", f'    compadd "$@" {" ".join(option.choices)}', "    _files \"$@\" -g '*.toml'", "}"]
    return lines


def zsh_text(text: str) -> str:
    return re.sub(r"([\[\]:\\])", r"\\\1", " ".join(text.split()))


def zsh_value(option: Option) -> str:
    action = " "
    if option.choices:
        action = TOML_FILES if option.or_file else "(" + " ".join(option.choices) + ")"
    elif option.takes:
        action = {"folder": "_files -/", "file": "_files", "run": RUNS}[option.takes]
    return f":{zsh_text(option.argument or option.names[0])}:{action}"


def zsh_options(command: Command, indent: str) -> list[str]:
    """Arguments of _arguments: a spec for each option and argument."""
    specs = []
    for option in command.options:
        for name in option.names:
            equals = "=-" if option.only_equals else "=" if option.argument and name.startswith("--") else ""
            value = zsh_value(option) if option.argument else ""
            specs.append(quoted(f"*{name}{equals}[{zsh_text(option.help)}]{value}"))
    specs += [quoted(f"{'*' if argument.several else number}{zsh_value(argument)}") for number, argument in enumerate(command.arguments, 1)]
    return [f"{indent}{spec} \\" for spec in specs[:-1]] + [indent + specs[-1]]


def zsh(command: Command) -> str:
    function = function_of(command.name)
    lines = [f"#compdef {command.name}", HEAD, *zsh_helpers(command), f"{function}()", "{"]
    if not command.commands:
        return "\n".join([*lines, "    _arguments \\", *zsh_options(command, "        "), "}", f'{function} "$@"']) + "\n"
    first = Command(command.name, "", options=command.options)
    lines += ["    local curcontext=$curcontext state line", "    typeset -A opt_args", "    _arguments -C \\"]
    lines += [f"{line.removesuffix(' ' + chr(92))} \\" for line in zsh_options(first, "        ")]
    lines += [f"        {quoted('1:command:->command')} \\", f"        {quoted('*::argument:->rest')}",
              "    case $state in", "    command)",
              "        local -a commands=("]
    lines += [f"            {quoted(one.name + ':' + zsh_text(one.summary))}" for one in command.commands]
    lines += ["        )", "        _describe command commands", "        ;;", "    rest)", "        case $line[1] in"]
    for one in command.commands:
        lines += [f"        {one.name})", "            _arguments \\", *zsh_options(one, "                "), "            ;;"]
    lines += ["        esac", "        ;;", "    esac", "}", f'{function} "$@"']
    return "\n".join(lines) + "\n"
