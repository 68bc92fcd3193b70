"""Messages and random templates for the comparison with jinja2.

What messages say has letters of Greek, what templates say has none: so the
comparison also sees that no character has lost its origin.
"""
import random

WORDS = ["αβγ", "δ ε", " ζ", "η\n", "<θ>", "&ι", "\"κ\"", "λ'μ", "ν\\ξ", "ο{{π",
         "<|Userρ|>", "ς</think>σ", "τ漢字", "υ👍", "φ\tχ", "", "ψ`ω"]
ROLES = ["user", "assistant", "system", "tool", "user", "assistant"]


def words(rng):
    return "".join(rng.choice(WORDS) for _ in range(rng.randint(0, 6)))


def value(rng, depth=0):
    kind = rng.randrange(9 if depth < 3 else 6)
    if kind < 2:
        return words(rng)
    if kind == 2:
        return rng.choice([0, 1, -5, 2 ** 40, 10])
    if kind == 3:
        return rng.choice([0.5, 1.0, 1e16, 1e-7, -2.25, 123456.789])
    if kind == 4:
        return rng.choice([True, False])
    if kind == 5:
        return None
    if kind < 8:
        return {f"κ{rng.randrange(9)}": value(rng, depth + 1)
                for _ in range(rng.randint(0, 3))}
    return [value(rng, depth + 1) for _ in range(rng.randint(0, 3))]


def call(rng, index):
    arguments = {f"α{i}": value(rng, 1) for i in range(rng.randint(0, 3))}
    return {"type": "function", "id": f"functions.φ:{index}",
            "function": {"name": f"φ{rng.randrange(9)}",
                         "arguments": rng.choice([arguments, words(rng)])}}


def messages(rng):
    result = []
    for index in range(rng.randint(0, 8)):
        role = rng.choice(ROLES)
        message = {"role": role, "content": words(rng)}
        if role == "assistant" and rng.random() < 0.3:
            message["tool_calls"] = [call(rng, i)
                                     for i in range(rng.randint(1, 3))]
            if rng.random() < 0.5:
                message["content"] = None
        if role == "assistant" and rng.random() < 0.3:
            message["reasoning_content"] = words(rng)
        if role == "tool":
            message["tool_call_id"] = f"functions.φ:{index}"
        if rng.random() < 0.1:
            message["content"] = [{"type": "text", "text": words(rng)}
                                  for _ in range(rng.randint(0, 2))]
        if rng.random() < 0.05:
            message["name"] = words(rng)
        if rng.random() < 0.03:
            del message["content"]
        result.append(message)
    return result


def tools(rng):
    return [{"type": "function",
             "function": {"name": f"φ{i}", "description": words(rng),
                          "parameters": value(rng)}}
            for i in range(rng.randint(1, 3))]


def case(template, seed):
    rng = random.Random(seed)
    return {"template": template, "messages": messages(rng),
            "tools": tools(rng) if rng.random() < 0.4 else None,
            "variables": rng.choice([None, {"thinking": True},
                                     {"thinking": False, "ξ": value(rng)}]),
            "prompt": rng.random() < 0.7,
            "tokens": {"bos_token": "<|begin|>", "eos_token": "<|end|>"}}


class Grammar:
    """Random templates, most of which are correct."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.names = ["messages", "tools", "bos_token", "thinking", "x", "y",
                      "missing"]
        self.loops = 0

    def pick(self, *options):
        return self.rng.choice(options)

    def literal(self):
        return self.pick("1", "0", "-3", "2.5", "1e3", "'a'", "'b c'", "\"\"",
                         "' s '", "true", "none", "[]", "{}", "'x,y,z'", "42",
                         "'q\\'\"'", "'\\n'", "false", "()", "7")

    def expression(self, depth=0):
        e = lambda: self.expression(depth + 1)
        kind = self.rng.randrange(26 if depth < 4 else 4)
        if kind < 2:
            return self.literal()
        if kind < 4:
            return self.pick(*self.names)
        if kind == 4:
            numbers = self.pick("7 % 3", "-7 % 3", "7.5 % -2", "0 % 5", "5 % 0",
                                "-7 // 2", "7 // -2.0", "2 * -3")
            return self.pick(f"({numbers})",
                             f"({e()} {self.pick('+', '-', '*', '/', '//')} {e()})")
        if kind == 5:
            return f"{e()} ~ {e()}"
        if kind == 6:
            return (f"({e()} {self.pick('==', '!=', '<', '<=', '>', '>=')} "
                    f"{e()})")
        if kind == 7:
            return f"({e()} {self.pick('in', 'not in')} {e()})"
        if kind == 8:
            return f"({e()} {self.pick('and', 'or')} {e()})"
        if kind == 9:
            return f"(not {e()})"
        if kind == 10:
            return f"({e()} if {e()} else {e()})"
        if kind == 11:
            return f"messages[{self.pick('0', '-1', '1', '99')}]"
        if kind == 12:
            return (f"{self.name_or_message()}"
                    f"{self.pick('.role', '.content', '[%s]' % repr('role'), '.missing', '[%s]' % repr('content'), '.tool_calls')}")
        if kind == 13:
            bounds = [self.pick("", "1", "-1", "2", "0", "-5", "9")
                      for _ in range(2)]
            step = self.pick("", ":", ":2", ":-1")
            return f"{self.pick('x', 'y', 'messages', 'bos_token')}[{bounds[0]}:{bounds[1]}{step}]"
        if kind == 14:
            return f"({self.pick('x', 'y', repr('a,b'), e())}.{self.method()})"
        if kind in (15, 16, 17):
            return f"(({e()})|{self.filter()})"
        if kind in (18, 19):
            negated = self.pick("", "not ")
            test = self.pick("defined", "none", "string", "number", "integer",
                             "float", "boolean", "mapping", "sequence",
                             "iterable", "true", "false", "undefined", "odd",
                             "even", "eq(1)", "in([1, 'a'])",
                             "callable")
            return f"({e()} is {negated}{test})"
        if kind == 20:
            return "[" + ", ".join(e() for _ in range(self.rng.randint(0, 3))) + "]"
        if kind == 21:
            return ("{" + ", ".join(f"'{k}': {e()}" for k in
                                    self.rng.sample("cab", self.rng.randint(0, 3)))
                    + "}")
        if kind == 22:
            return f"(range({self.pick('3', '1, 4', '4, 0, -1', '0', e())})|list)"
        if kind == 23:
            return f"({e()}, {e()})"
        if kind == 24:
            return f"-{e()}"
        return f"m({self.pick('', '1', 'x, y', 'q=2', e())})"

    def name_or_message(self):
        return self.pick("messages[0]", "messages[-1]", "x", "y", "missing",
                         "message")

    def method(self):
        return self.pick("split()", "split(',')", "split(',', 1)", "strip()",
                         "upper()", "lower()", "get('role')", "get('z', 1)",
                         "items()|list", "keys()|list", "values()|list",
                         "startswith('a')", "endswith('c')", "lstrip()",
                         "rstrip()", "replace('a', 'bb')", "splitlines()",
                         "find('b')", "count('a')", "rsplit(',', 1)",
                         "strip('ab ')", "capitalize()", "isspace()",
                         "removeprefix('a')", "split(' ', 2)", "replace('', '-')",
                         "split(none, 1)", "rsplit(none, 1)")

    def filter(self):
        return self.pick("length", "tojson", "trim", "default('d')",
                         "default('d', true)", "join", "join('-')", "first",
                         "last", "upper", "lower", "list", "string", "int",
                         "map('string')|list", "map(attribute='role')|list",
                         "selectattr('role')|list", "reject('none')|list",
                         "selectattr('role', 'equalto', 'user')|list|length",
                         "select('string')|list", "select|list", "abs",
                         "tojson(indent=1)", "replace('a', 'zz')", "reverse|list",
                         "items|list", "map('upper')|list", "int(7)", "count",
                         "tojson(sort_keys=true)", "capitalize")

    def text(self):
        return self.pick("", " ", "\n", "\n  ", "t\n", " t", "\r\n", "a b\n\n",
                         "{ ", "}}", "%}", "\t", "<|x|>")

    def tag(self, inside):
        return ("{%" + self.pick("", "", "-", "+") + " " + inside + " "
                + self.pick("", "", "-", "+") + "%}")

    def statement(self, depth):
        body = lambda: self.block(depth + 1)
        kind = self.rng.randrange(13 if depth < 3 else 5)
        if kind < 3:
            return ("{{" + self.pick("", "-") + " " + self.expression() + " "
                    + self.pick("", "-") + "}}")
        if kind == 3:
            return self.tag(f"set {self.pick('x', 'y')} = {self.expression()}")
        if kind == 4:
            return "{#" + self.pick("", "-", "+") + " c " + self.pick("", "-", "+") + "#}"
        if kind in (5, 6):
            result = self.tag(f"if {self.expression()}") + body()
            if self.rng.random() < 0.4:
                result += self.tag(f"elif {self.expression()}") + body()
            if self.rng.random() < 0.5:
                result += self.tag("else") + body()
            return result + self.tag("endif")
        if kind in (7, 8, 9):
            over = self.pick("messages", "messages", "[1, 2, 3]", "'ab'", "x",
                             "{'a': 1}", self.expression())
            condition = f" if {self.expression()}" if self.rng.random() < 0.2 else ""
            name = self.pick("x", "message", "message")
            result = self.tag(f"for {name} in {over}{condition}")
            self.loops += 1
            result += body()
            self.loops -= 1
            if self.rng.random() < 0.3:
                result += self.tag("else") + body()
            return result + self.tag("endfor")
        if kind == 10 and self.loops:
            return self.pick(
                "{{ loop.%s }}" % self.pick("index", "index0", "first", "last",
                                            "length", "revindex", "revindex0"),
                self.tag(f"if {self.expression()}")
                + self.tag(self.pick("break", "continue")) + self.tag("endif"))
        if kind == 11:
            return self.tag("set ns.v = " + self.expression()) + "{{ ns.v }}"
        if kind == 12:
            return (self.tag("set x") + self.block(3) + self.tag("endset"))
        return "{% raw %}{{ r }}{% endraw %}"

    def block(self, depth):
        return "".join(self.text() + self.statement(depth)
                       for _ in range(self.rng.randint(1, 3))) + self.text()

    def template(self):
        start = ("{% macro m(p, q=5) %}<{{ p }}{{ q }}>{% endmacro %}"
                 "{% set ns = namespace(v=0) %}")
        text = start + self.block(0)
        if self.rng.random() < 0.1:  # damaged
            at = self.rng.randrange(len(start), len(text) + 1)
            text = text[:at] + self.pick("{{", "%}", "'", "(", "]", "}}",
                                         "{% endif %}", "|", ".") + text[at:]
        return text
