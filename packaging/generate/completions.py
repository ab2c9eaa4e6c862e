# SPDX-License-Identifier: Apache-2.0
"""Completions for bash and zsh: options, their choices, folders and files where a value is one, commands."""
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
    if option.choices:
        return f"{indent}COMPREPLY=($(compgen -W {shlex.quote(' '.join(option.choices))} -- \"$word\"))\n"
    if option.takes:
        return f"{indent}COMPREPLY=($(compgen {'-d' if option.takes == 'folder' else '-f'} -- \"$word\"))\n"
    return ""


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
    arguments = "".join(values_of(argument, indent + "    ") for argument in command.arguments[:1])
    if arguments:
        lines += [f"{indent}if [[ $word != -* ]]; then", f"{arguments}{indent}    return", f"{indent}fi"]
    lines += [f"{indent}COMPREPLY=($(compgen -W {shlex.quote(offered)} -- \"$word\"))"]
    return "\n".join(lines) + "\n"


BASH_BEGIN = r"""
{function}()
{{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}}
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
        text += '    local one chosen=\n    for one in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do\n        case $one in\n'
        text += f"        {names.replace(' ', '|')})\n            chosen=$one\n            break\n            ;;\n        esac\n    done\n"
        text += "    case $chosen in\n"
        for one in command.commands:
            text += f"    {one.name})\n{bash_command(one, '        ')}        ;;\n"
        first = Command(command.name, "", options=command.options, arguments=[Option(["COMMAND"], "COMMAND", "", choices=names.split())])
        text += f"    *)\n{bash_command(first, '        ')}        ;;\n    esac\n"
    else:
        text += bash_command(command, "    ")
    text += "    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]]; then\n        compopt -o nospace 2>/dev/null\n    fi\n"
    return text + f"}}\ncomplete -F {function} {command.name}\n"


# --- zsh ---


def quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def zsh_text(text: str) -> str:
    return re.sub(r"([\[\]:\\])", r"\\\1", " ".join(text.split()))


def zsh_value(option: Option) -> str:
    action = " "
    if option.choices:
        action = "(" + " ".join(option.choices) + ")"
    elif option.takes:
        action = "_files -/" if option.takes == "folder" else "_files"
    return f":{zsh_text(option.argument or option.names[0])}:{action}"


def zsh_options(command: Command, indent: str) -> list[str]:
    """Arguments of _arguments: a spec for each option and argument."""
    specs = []
    for option in command.options:
        for name in option.names:
            equals = "=-" if option.only_equals else "=" if option.argument and name.startswith("--") else ""
            value = zsh_value(option) if option.argument else ""
            specs.append(quoted(f"*{name}{equals}[{zsh_text(option.help)}]{value}"))
    specs += [quoted(f"*{zsh_value(argument)}") for argument in command.arguments[:1]]
    return [f"{indent}{spec} \\" for spec in specs[:-1]] + [indent + specs[-1]]


def zsh(command: Command) -> str:
    function = function_of(command.name)
    lines = [f"#compdef {command.name}", HEAD, f"{function}()", "{"]
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
