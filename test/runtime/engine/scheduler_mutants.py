#!/usr/bin/env python3
"""Plants mistakes in the scheduler and expects its tests to find each.

    scheduler_mutants.py SOURCE BUILD [--only NAME]

A mutant is a replacement of text in a file of runtime/engine. The file is
compiled as the build does, linked before the library, and EngineTests must fail
in the random worlds or the tests of the scheduler. Text that is not there any
more is an error: the mutant has to follow the code.
"""
import argparse
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile

PAGES, CALLS, CACHE, QUEUES = ("SchedulerPages.cpp", "SchedulerCalls.cpp",
                               "PrefixCache.cpp", "Scheduler.cpp")
MUTANTS = {
    "a partial page is not copied for a choice":
        (PAGES, "    if (partial)\n", "    if (false && partial)\n"),
    "choices write the prompt's last page together":
        (PAGES, "for (size_t i = 0; i < full; ++i)",
         "choice->pages[0] = first->pages.back();\n"
         "    for (size_t i = 0; i < full; ++i)"),
    "a choice holds shared pages without counting":
        (PAGES, "pool_.share(first->pages[i]);", ";"),
    "a token is fed twice":
        (CALLS, "subspan(next, 1)", "subspan(next ? next - 1 : 0, 1)"),
    "a preempted row keeps its length":
        (PAGES, "choice.length = choice.reserved = 0;", "choice.reserved = 0;",
         "choice->length = std::min(",
         "choice->length = choice->length ? choice->length : std::min("),
    "a row writes behind its last page":
        (PAGES, "limits_.pagesFor(choice.length + 1) > choice.pages.size()",
         "limits_.pagesFor(choice.length) > choice.pages.size()"),
    "pages are given back twice":
        (PAGES, "i > choice.chain.size(); --i", "i > 0; --i"),
    "pages are not given back":
        (PAGES, "i > choice.chain.size(); --i", "i > choice.chain.size() + 1; --i"),
    "a page is published before it is written":
        (PAGES, "std::min(choice.length, entry.promptSize())",
         "entry.promptSize()"),
    "a page keeps its number though an equal one was published":
        (PAGES, "choice.pages[i] = choice.chain.back()->page;", ";"),
    "a prompt that is cached is written again":
        (CALLS, "result.writes = choice.length >=",
         "result.writes = true || choice.length >="),
    "the last token of a cached prompt is not computed":
        (PAGES, "entry.promptSize() - 1);\n    } else",
         "entry.promptSize() - choice->chain.size());\n    } else"),
    "held pages are evicted":
        (CACHE, "const bool unheld = pool_.references(node->page) == 1;",
         "const bool unheld = pool_.references(node->page) <= 2;"),
    "a page in use counts as unheld":
        (CACHE, "  unheld_ -= pool_.references(node->page) == 1;\n", ""),
    "a chain of another prompt is found":
        (CACHE, "if (it->second->parent == parent &&", "if (",
         "xxh3(std::span(bytes, ids.size_bytes())) * 31 +\n"
         "         reinterpret_cast<uintptr_t>(parent)",
         "xxh3(std::span(bytes, ids.size_bytes()))"),
    "all salts share a root":
        (CACHE, "const auto it = roots_.find(salt);",
         "const auto it = roots_.begin();"),
    "choices draw the same numbers":
        (CALLS, "choice.generated.size(), choice.child}",
         "choice.generated.size(), 0}"),
    "the step counts other rows' tokens":
        (CALLS, "{entry.ticket->seed(), choice.generated.size(),",
         "{entry.ticket->seed(), entry.usage.generatedTokens,"),
    "replayed tokens are sampled again":
        (CALLS, "if (next + 1 == choice.generated.size())", "if (true)"),
    "a prompt that is computed again is sampled again":
        (CALLS, "  if (entry.sampled)\n    return result;\n", ""),
    "logits that are not finite are taken":
        (CALLS, "if (!logits.finite)", "if (false)"),
    "one bad row ends its neighbours":
        (CALLS, "if (!entry.forked || choice.get() == row.choice)", "if (true)"),
    "penalties forget the output":
        (CALLS, "    choice.counts.addOutput(*token);\n", "    ;\n"),
    "prompts beyond the chunk are cut":
        (CALLS, "row.choice->length += row.take;",
         "row.choice->length += row.take + (row.take > 4);"),
    "a long prompt takes the whole call":
        (CALLS, "(capacity.tokens + 1) / 2", "capacity.tokens"),
    "the oldest prompt waits for all short ones":
        (CALLS, "  give(rows[0], (capacity.tokens + 1) / 2);\n", ""),
    "a preempted request goes last":
        (QUEUES, "!entry->preempted,", "entry->preempted,"),
    "the oldest is preempted":
        (PAGES, "preempt(running_.size() - 1);", "preempt(0);"),
    "the queue has no end":
        (QUEUES, "if (waiting_.size() >=", "if (false && waiting_.size() >="),
    "a cancelled request keeps its pages":
        (QUEUES, "    releasePages(choice);\n    statistics_", "    statistics_"),
}


def commands(build, target):
    out = subprocess.run(["ninja", "-C", build, "-t", "commands", target],
                         capture_output=True, text=True, check=True).stdout
    return out.splitlines()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("source", type=pathlib.Path)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--only")
    options = parser.parse_args()
    lines = commands(options.build, "EngineTests")
    link = next(l for l in reversed(lines) if "-o unittests/EngineTests" in l)
    link = link.split("&&")[1].strip() if "&&" in link else link
    missed = []
    chosen = {n: m for n, m in MUTANTS.items()
              if not options.only or options.only in n}
    for name, (file, *edits) in chosen.items():
        text = (options.source / "runtime/engine" / file).read_text()
        for old, new in zip(edits[::2], edits[1::2]):
            if text.count(old) != 1:
                sys.exit(f"mutant '{name}': its text is {text.count(old)} times "
                         f"in {file}, expected once:\n{old}")
            text = text.replace(old, new)
        with tempfile.TemporaryDirectory() as folder:
            mutant = pathlib.Path(folder) / file
            mutant.write_text(text)
            compile_line = next(
                l for l in lines if l.endswith(f"runtime/engine/{file}"))
            words = shlex.split(compile_line)
            words = [w for w in words if not w.endswith("ccache")]
            words[words.index("-o") + 1] = f"{folder}/mutant.o"
            words[words.index("-MF") + 1] = f"{folder}/mutant.d"
            words[words.index("-c") + 1] = str(mutant)
            # What a mutant leaves unused is no mistake of it.
            subprocess.run(words + ["-Wno-error"], cwd=options.build, check=True,
                           stderr=subprocess.DEVNULL)
            words = shlex.split(link)
            at = words.index("-o")
            words[at + 1] = f"{folder}/tests"
            words.insert(at, f"{folder}/mutant.o")
            subprocess.run(words, cwd=options.build, check=True)
            try:
                result = subprocess.run(
                    [f"{folder}/tests", "--gtest_filter=Scheduler*"],
                    capture_output=True, text=True, timeout=120)
                found = result.returncode != 0
                lost = [l for l in result.stdout.splitlines()
                        if l.startswith(("world ", "[  FAILED  ]"))]
            except subprocess.TimeoutExpired:
                found, lost = True, ["no end"]
        print(f"{'found ' if found else 'MISSED'} {name}"
              + (f": {lost[0][:90]}" if found and lost else ""), flush=True)
        if not found:
            missed.append(name)
    print(f"{len(chosen) - len(missed)} of {len(chosen)} mutants found")
    return 1 if missed or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
