"""The environment in which transformers renders chat templates."""
import json
import time

import jinja2.ext
from jinja2.exceptions import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment



def environment():
    env = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True,
        extensions=[jinja2.ext.loopcontrols])

    def tojson(x, ensure_ascii=False, indent=None, separators=None,
               sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent,
                          separators=separators, sort_keys=sort_keys)

    def raise_exception(message):
        raise TemplateError(message)

    def strftime_now(form):
        return time.strftime(form, time.localtime(1_000_000_000))

    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = strftime_now
    return env


def render(env, case):
    """{"text": ...} or {"error": ...}."""
    try:
        template = env.from_string(case["template"])
        variables = dict(case.get("variables") or {})
        variables.setdefault("documents", None)
        text = template.render(
            **{**variables, "messages": case["messages"],
               "tools": case.get("tools"),
               "add_generation_prompt": case.get("prompt", True),
               **case["tokens"]})
        return {"text": text}
    except RecursionError:
        return {"error": "RecursionError"}
    except Exception as error:  # of Python or jinja2: all end the rendering
        return {"error": f"{type(error).__name__}: {error}"}
