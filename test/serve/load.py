#!/usr/bin/env python3
"""hadal-serve on models/tiny under load, with clients that behave and clients that
do not.

    load.py BIN_DIR SOURCE_DIR WORK_DIR [--compile BIN] [--long] [--only PART,..]

equal      clients in a closed loop, greedy and seeded, n, stops, logprobs, streams
           and whole answers, some given up: every text, id and logprob equals that
           of the request alone on a server of one row without prefix cache
preempted  the same with pages for three of eight requests
chat       a template's text, continued messages, tools, reasoning
documented docs/serving.md names every flag and metric
limits     more requests than rows and queue hold: 429, and what is taken completes
killed     clients that are killed inside their streams: rows and pages come back
mutated    bodies with damage: a 4xx at most, fields out of range named
smuggling  requests whose end two servers might see differently
slow       clients of a byte a second, heads and bodies beyond their limits
managed    a service manager is told when the server is ready, hangs and ends; --plan
drain      SIGTERM with requests running: they end, new ones are refused

Prints a line for each part; exits 1 if one failed. --long: the counts of a release.
"""
import argparse
import asyncio
import json
import pathlib
import random
import subprocess
import sys
import time

import chats
import documented
import hostile
import managed
from client import Broken, Server, complete, get, metric

PROMPTS = ["In the beginning", "And the LORD said unto Moses,", "Blessed are the",
           "The words of the wise", "Now these are the names of the", "Ж 你好"]
SHARED = "And it came to pass in those days, that there went out a decree. " * 8


def make_request(rng):
    """A body of /v1/completions. All requests of one seed repeat, so that caches
    hit."""
    prompt = rng.choice(PROMPTS)
    if rng.random() < 0.4:
        prompt = SHARED + prompt
    body = {"prompt": prompt, "max_tokens": rng.choice([1, 2, 8, 24, 140]),
            "temperature": rng.choice([0, 0, 0.7, 1.5]), "seed": rng.randrange(4),
            "n": rng.choice([1, 1, 1, 2, 3]), "return_token_ids": True}
    if rng.random() < 0.3:
        body["stop"] = rng.choice(["the", [" and", "unto"], "\n"])
    if rng.random() < 0.3:
        body["logprobs"] = 2
    if rng.random() < 0.2:
        body.update(presence_penalty=0.5, repetition_penalty=1.2, top_p=0.9)
    if rng.random() < 0.2:
        body.update(top_k=20, min_p=0.02, ignore_eos=True)
    return body


def key_of(body):
    return json.dumps(body, sort_keys=True)


async def alone(place, bodies):
    """The results of |bodies|, each without others, cache or stream."""
    results = {}
    async with place.server("--max-rows", "3", "--no-prefix-cache") as server:
        for key in sorted({key_of(body) for body in bodies}):
            answer = await complete(server.port, json.loads(key))
            if answer.status != 200:
                raise Broken(f"{key}: {answer.status} {answer.error}")
            results[key] = answer.result()
    return results


def is_prefix(part, whole):
    """Of a stream that was given up: what came begins what would have come."""
    return all(index in range(len(whole)) and whole[index][0].startswith(choice.text)
               and whole[index][2][:len(choice.ids)] == choice.ids
               for index, choice in part.choices.items())


# Flags that must not change an answer.
LONG_VARIANTS = [["-t", "1"], ["--prefill-chunk", "17"], ["--no-prefix-cache"],
                 ["--max-rows", "3"], ["--cache-pages", "16"]]


async def run_client(port, bodies, expected, rng, tally):
    for body in bodies:
        stream = rng.random() < 0.6
        wanted = rng.randrange(1, 5) if stream and rng.random() < 0.15 else None
        asked = {**body, "stream": stream}
        if stream:
            asked["stream_options"] = {"include_usage": True}
        answer = await complete(port, asked, events_wanted=wanted)
        want = expected[key_of(body)]
        if not answer.complete:
            tally.given_up += 1
            same = is_prefix(answer, want)
        else:
            same = answer.status == 200 and answer.result() == want
            tally.tokens += answer.usage["completion_tokens"] if answer.usage else 0
        if not same:
            tally.wrong.append(f"{key_of(asked)}\n  alone   {want}\n  loaded  "
                               f"{answer.result()} {answer.error or ''}")


async def equal(place, counts):
    rng = random.Random(place.seed)
    clients = [[make_request(rng) for _ in range(counts.requests)]
               for _ in range(counts.clients)]
    expected = await alone(place, [body for bodies in clients for body in bodies])
    tally = argparse.Namespace(wrong=[], given_up=0, tokens=0)
    hits = seconds = 0
    variants = [[]] + (LONG_VARIANTS if counts.long else [])
    for flags in variants:
        before = tally.tokens
        async with place.server(*flags) as server:
            begun = time.monotonic()
            await asyncio.gather(*(
                run_client(server.port, bodies, expected, random.Random(f"{place.seed} {i}"),
                           tally) for i, bodies in enumerate(clients)))
            seconds += time.monotonic() - begun
            await server.wait_idle()
            hits += await metric(server.port, "vllm:prefix_cache_hits_total")
            generated = await metric(server.port, "vllm:generation_tokens_total")
        if generated < tally.tokens - before:
            tally.wrong.append(f"{flags}: {generated} tokens counted, clients got "
                               f"{tally.tokens - before}")
    if not hits:
        tally.wrong.append("the prefix cache was never hit, so it was not tested")
    return tally.wrong, (
        f"{len(variants)} x {counts.clients} x {counts.requests} requests, {tally.given_up} "
        f"given up, {tally.tokens} tokens, {tally.tokens / seconds:.0f} a second, {hits:.0f} cached")


async def preempted(place, counts):
    """Eight answers of three pages each, in twelve."""
    bodies = [{"prompt": f"{i} {PROMPTS[i % len(PROMPTS)]}", "max_tokens": 150, "seed": i,
               "temperature": i % 2, "ignore_eos": True, "return_token_ids": True}
              for i in range(8)]
    expected = await alone(place, bodies)
    async with place.server("--cache-pages", "12") as server:
        answers = await asyncio.gather(*(complete(server.port, body) for body in bodies))
        count = await metric(server.port, "vllm:num_preemptions_total")
        await server.wait_idle()
    wrong = [f"{body['prompt']}: {answer.result()}" for body, answer in zip(bodies, answers)
             if answer.result() != expected[key_of(body)]]
    if not count:
        wrong.append("nothing was preempted, so that was not tested")
    return wrong, f"8 answers, {count:.0f} preempted"


async def limits(place, counts):
    wrong, rows, queue = [], 2, 3
    async with place.server("--max-rows", str(rows), "--max-queue", str(queue)) as server:
        body = {"prompt": PROMPTS[0], "max_tokens": 64, "temperature": 0, "ignore_eos": True}
        expected = (await complete(server.port, body)).result()

        async def one():
            begun = time.monotonic()
            answer = await complete(server.port, body)
            return answer, time.monotonic() - begun

        done = await asyncio.gather(*(one() for _ in range(24)))
        taken = [answer for answer, _ in done if answer.status == 200]
        refused = [(answer, seconds) for answer, seconds in done if answer.status == 429]
        if len(taken) + len(refused) != len(done):
            wrong.append(f"statuses {sorted(answer.status for answer, _ in done)}")
        if len(taken) < rows + queue or not refused:
            wrong.append(f"{len(taken)} taken, {len(refused)} refused of {len(done)} by "
                         f"{rows} rows and a queue of {queue}")
        wrong += [f"taken, yet {answer.result()}" for answer in taken
                  if answer.result() != expected]
        wrong += [f"429 without Retry-After, or with {answer.error}" for answer, _ in refused
                  if "retry-after" not in answer.headers or answer.error["code"] != "H5024"]
        await server.wait_idle()
    return wrong, (f"{len(taken)} taken, {len(refused)} refused, the slowest after "
                   f"{max((s for _, s in refused), default=0) * 1e3:.0f} ms")


async def killed(place, counts):
    rng = random.Random(place.seed)
    async with place.server() as server:
        body = {"prompt": SHARED + PROMPTS[1], "max_tokens": 300, "temperature": 0,
                "ignore_eos": True, "return_token_ids": True}
        short = {**body, "max_tokens": 16}
        expected = (await complete(server.port, short)).result()
        files = server.files()

        async def victim():
            await asyncio.sleep(rng.random() * counts.killed / 50)
            await complete(server.port, {**body, "stream": True, "n": rng.choice([1, 2])},
                           events_wanted=rng.randrange(1, 40))

        await asyncio.gather(*(victim() for _ in range(counts.killed)))
        begun = time.monotonic()
        await server.wait_idle()
        idle = time.monotonic() - begun
        wrong = []
        if (await complete(server.port, short)).result() != expected:
            wrong.append("the answer behind them differs")
        for _ in range(100):
            if server.files() <= files:
                break
            await asyncio.sleep(0.05)
        else:
            wrong.append(f"{server.files()} files are open, before {files}")
    return wrong, f"{counts.killed} clients, all pages back after {idle:.2f} s"


async def ready_after(server):
    """What /ready says once the signal has arrived; None: nobody listens."""
    for _ in range(100):
        try:
            status = (await get(server.port, "/ready"))[0]
        except (OSError, asyncio.IncompleteReadError):
            return None
        if status != 200:
            return status
        await asyncio.sleep(0.01)
    return 200


async def drain(place, counts):
    wrong = []
    body = {"prompt": PROMPTS[0], "temperature": 0, "ignore_eos": True, "stream": True,
            "return_token_ids": True}
    async with place.server() as server:
        expected = (await complete(server.port, {**body, "max_tokens": 200})).result()

    async def stopped(flags, max_tokens):
        """Eight streams, SIGTERM after their first events, and one more request."""
        async with place.server(*flags) as server:
            running = [asyncio.create_task(complete(
                server.port, {**body, "max_tokens": max_tokens})) for _ in range(8)]
            while await metric(server.port, "vllm:num_requests_running") < 8:
                await asyncio.sleep(0.005)
                if any(task.done() for task in running):
                    raise Broken("a request ended before all eight ran")
            server.process.terminate()
            late = await ready_after(server)
            answers = await asyncio.gather(*running)
            code = await asyncio.wait_for(server.process.wait(), 60)
            return answers, code, late

    answers, code, late = await stopped([], 200)
    if any(answer.result() != expected for answer in answers):
        wrong.append("a request that may finish did not")
    if code != 0 or late not in (None, 503):
        wrong.append(f"all finished: exit {code}, /ready {late}")
    answers, code, _ = await stopped(["--drain-timeout", "0.1"], 440)
    ends = {choice.finish for answer in answers for choice in answer.choices.values()}
    if ends != {"abort"} or code != 143:
        wrong.append(f"cut off: ends {ends}, exit {code}, expected abort and 143")
    return wrong, "8 finish and exit 0; 8 cut off after 0.1 s and exit 143"


PARTS = {"equal": equal, "chat": chats.chat,
         "documented": documented.documented, "preempted": preempted, "limits": limits, "killed": killed, "mutated": hostile.mutated,
         "smuggling": hostile.smuggling, "slow": hostile.slow, "managed": managed.managed, "drain": drain}


class Place:
    """Where the server, the artifact and the weights are."""

    def __init__(self, args):
        self.binary = args.bin.resolve() / "hadal-serve"
        self.source = args.source.resolve()
        self.weights = self.source / "models/tiny"
        self.artifact = args.work.resolve() / "tiny.hadal"
        self.seed = args.seed
        args.work.mkdir(parents=True, exist_ok=True)
        subprocess.run([(args.compile or args.bin / "hadal-compile").resolve(), self.weights,
                        "--images=native", "--max-batch-size=8", "--max-seq-len=512",
                        "-o", self.artifact], check=True, capture_output=True)

    def server(self, *flags):
        return Server(self.binary, self.artifact, self.weights, *flags)


def parse_place(text):
    parser = argparse.ArgumentParser(description=text,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bin", type=pathlib.Path)
    parser.add_argument("source", type=pathlib.Path)
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("--compile", type=pathlib.Path, help="default: BIN_DIR/hadal-compile")
    parser.add_argument("--seed", type=int, default=1)
    return parser


def main():
    parser = parse_place(__doc__)
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--only", default=",".join(PARTS))
    args = parser.parse_args()
    counts = argparse.Namespace(clients=8, requests=50 if args.long else 6,
                                killed=100 if args.long else 20,
                                mutations=5000 if args.long else 400,
                                slow=200 if args.long else 20, long=args.long)
    place, failed = Place(args), 0
    for name in args.only.split(","):
        begun = time.monotonic()
        try:
            wrong, said = asyncio.run(PARTS[name](place, counts))
        except Broken as broken:
            wrong, said = [str(broken)], "broken"
        failed += bool(wrong)
        for line in wrong[:5]:
            print(f"  {line}")
        print(f"{name}: {said}; {len(wrong)} wrong, {time.monotonic() - begun:.1f} s", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
