"""What the hardware needs of a kernel's PTX and launch, and the simulator and
ptxas do not see: read from the text of the PTX and from what `hadal-inspect
--kernels` says of the kernel.

    check_ptx.py --self-test

problems_of(kernel, ptx) is what check_facts.py calls.
"""
import re
import sys

SHARED_OF_MULTIPROCESSOR = 228 * 1024
RESERVED_SHARED = 1024  # of each block, by the driver
REGISTERS = 65536

# 14 bits of address, of leading and of stride offset; base offset; layout.
DESCRIPTOR_RESERVED = (3 << 14) | (3 << 30) | (7 << 46) | (0x3FF << 52)


def body_lines(ptx):
    return [line.strip() for line in ptx.splitlines()]


def first(lines, *patterns):
    """Index of the first line that holds one of |patterns|; len if none."""
    for i, line in enumerate(lines):
        if any(re.search(p, line) for p in patterns):
            return i
    return len(lines)


def launch_problems(kernel, ptx):
    if ".target sm_90a" not in ptx:
        yield "is not for sm_90a"
    threads = re.search(r"\.reqntid (\d+)", ptx)
    if not threads or int(threads.group(1)) != kernel["threads"]:
        yield f"has no .reqntid {kernel['threads']}"
    static = re.search(r"static_shared=(\d+)", kernel.get("facts", ""))
    shared = kernel["shared_bytes"] + (int(static.group(1)) if static else 0)
    if shared + RESERVED_SHARED > SHARED_OF_MULTIPROCESSOR:
        yield f"has {shared} bytes of shared memory"
    if "wgmma" in ptx or "cp.async.bulk" in ptx:
        # Static shared memory would lie before it and shift every tile.
        if static and int(static.group(1)):
            yield "has static shared memory before its swizzled tiles"
        if ".extern .shared .align 1024" not in ptx:
            yield "does not align its shared memory to the swizzle's 1024 bytes"


def register_problems(kernel, ptx):
    increase = [int(n) for n in re.findall(r"setmaxnreg\.inc\S* (\d+)", ptx)]
    decrease = [int(n) for n in re.findall(r"setmaxnreg\.dec\S* (\d+)", ptx)]
    if not increase and not decrease:
        return
    if ".minnctapersm 1" not in ptx:
        yield "uses setmaxnreg without .minnctapersm 1"
    if len(decrease) != 1 or len(set(increase)) != 1:
        yield f"has setmaxnreg.inc {increase} and .dec {decrease}"
        return
    groups = kernel["threads"] // 128
    wanted = (groups - 1) * increase[0] + decrease[0]
    if wanted > groups * kernel["registers"]:
        yield (f"wants {wanted} registers a lane of {groups} warpgroups, is "
               f"launched with {kernel['registers']} each")
    if 128 * wanted > REGISTERS:
        yield f"wants {128 * wanted} registers"
    for n in increase + decrease:
        if n % 8 or not 24 <= n <= 256:
            yield f"has setmaxnreg {n}"
    if decrease[0] > kernel["registers"] or increase[0] < kernel["registers"]:
        yield (f"goes from {kernel['registers']} registers to {decrease[0]} and "
               f"{increase[0]}")


def order_problems(kernel, ptx):
    lines = body_lines(ptx)
    wait = first(lines, r"griddepcontrol\.wait")
    if wait == len(lines):
        yield "never waits for the kernel before it"
    writes = first(lines, r"\bst\.global", r"\b(atom|red)\.\S*global",
                   r"cp\.async\.bulk\.tensor")
    if writes < wait:
        yield f"writes or copies before griddepcontrol.wait: {lines[writes]}"
    if "griddepcontrol.launch_dependents" not in ptx:
        yield "never lets the kernel after it start"
    if re.search(r"ld\.global(\.\w+)*\.nc", ptx):
        yield "reads through the non-coherent path"
    init = [i for i, line in enumerate(lines)
            if line.startswith("mbarrier.init")]
    if init:
        fence = [i for i, line in enumerate(lines)
                 if line.startswith("fence.mbarrier_init")]
        barrier = [i for i, line in enumerate(lines) if line.startswith("bar.sync")]
        use = first(lines, r"mbarrier\.(try_wait|test_wait|arrive)",
                    r"cp\.async\.bulk\.tensor")
        if not any(i > init[-1] for i in fence):
            yield "does not fence its last mbarrier.init"
        if not any(init[-1] < i < use for i in barrier):
            yield "has no barrier between mbarrier.init and the first use"
    if re.search(r"\bst\.shared|stmatrix", ptx) and \
            re.search(r"global\.shared::cta", ptx) and \
            "fence.proxy.async" not in ptx:
        yield "copies out of shared memory that it wrote, without a proxy fence"
    # What stmatrix writes is an operand of wgmma.
    matrix = [i for i, line in enumerate(lines) if line.startswith("stmatrix")]
    if matrix:
        after = lines[matrix[-1]:]
        fence = first(after, r"fence\.proxy\.async")
        barrier = first(after, r"bar\.sync")
        if not fence < barrier < first(after, r"wgmma\.mma_async"):
            yield "has no proxy fence, then barrier, from stmatrix to wgmma"


def map_problems(kernel, ptx):
    maps = [m for m in kernel["tensor_maps"].split("; ") if m]
    parameters = re.findall(r"\.param \.align (\d+) \.b8 \S+\[(\d+)\]", ptx)
    if parameters != [("64", "128")] * len(maps):
        yield f"has {len(maps)} tensor maps and takes {parameters}"
    for text in maps:
        dtype, box, swizzle = re.search(
            r": (\w+)\[.*\] box \[(.*)\] swizzle (\d+)", text).groups()
        size = {"u8": 1, "bf16": 2, "f32": 4, "i32": 4}[dtype]
        box = [int(n) for n in box.split(", ")]
        # Of a narrower box no source says how far apart its rows lie.
        if int(swizzle) and box[0] * size != int(swizzle):
            yield f"copies {box[0] * size} bytes under a swizzle of {swizzle}"
        if any(not 1 <= n <= 256 for n in box):
            yield f"has a box of {box}"


def descriptor_problems(kernel, ptx):
    """The constant part of each matrix descriptor."""
    found = 0
    for text in re.findall(r"or\.b64 \t?\S+ \S+ (-?\d+);", ptx):
        bits = int(text) % (1 << 64)
        if not bits >> 62:
            continue
        found += 1
        span = {1: 128, 2: 64, 3: 32}[bits >> 62]
        stride = (bits >> 32 & 0x3FFF) * 16
        if bits & DESCRIPTOR_RESERVED:
            yield f"sets reserved bits in descriptor {bits:#x}"
        if bits >> 49 & 7:
            yield f"has a base offset in descriptor {bits:#x}"
        if stride % (8 * span) or not stride:
            yield (f"has rows of 8 x {span} bytes {stride} apart in descriptor "
                   f"{bits:#x}")
        if bits & 0x3FFF:
            yield f"has an address in the constant descriptor {bits:#x}"
    if "wgmma.mma_async" in ptx and not found:
        yield "has no descriptor that this test can read"


def problems_of(kernel, ptx):
    """What is wrong with |ptx| of |kernel|, an entry of `hadal-inspect
    --kernels --format json`."""
    for rule in (launch_problems, register_problems, order_problems,
                 map_problems, descriptor_problems):
        yield from rule(kernel, ptx)


GOOD = """.version 8.0
.target sm_90a
.extern .shared .align 1024 .b8 hadal_shared[];
.visible .entry k(
	.param .u64 .ptr .global .align 1 k_0,
	.param .align 64 .b8 k_1[128]
)
.reqntid 384
.minnctapersm 1
{
	mbarrier.init.shared::cta.b64 [%r155], %r156;
	fence.mbarrier_init.release.cluster;
	griddepcontrol.launch_dependents;
	griddepcontrol.wait;
	bar.sync 	0;
	setmaxnreg.inc.sync.aligned.u32 232;
	or.b64 	%rd34, %rd44, 4611686293305294848;
	wgmma.mma_async.sync.aligned.m64n128k32.f32.e4m3.e4m3 {}, a, b, 0, 1, 1;
	st.global.v4.b32 [%rd51], {};
	setmaxnreg.dec.sync.aligned.u32 40;
	{ @p cp.async.bulk.tensor.2d.shared::cluster.global.tile [%r180]; }
	ret;
}
"""
KERNEL = {"name": "k", "threads": 384, "shared_bytes": 196704,
          "registers": 168, "facts": "static_shared=0",
          "tensor_maps": "arg 0: u8[7168, arg 2] box [128, 64] swizzle 128"}


def self_test():
    """Each rule finds what it is for."""
    assert not list(problems_of(KERNEL, GOOD)), list(problems_of(KERNEL, GOOD))
    swap = [
        ("launch", "sm_90a", "sm_90"), ("reqntid", "reqntid 384", "reqntid 256"),
        ("align", ".align 1024 .b8", ".align 128 .b8"),
        ("setmaxnreg", "u32 232", "u32 240"), ("minnctapersm", ".minnctapersm 1",
                                               ""),
        ("wait", "\tgriddepcontrol.wait;\n", ""),
        ("launch_dependents", "\tgriddepcontrol.launch_dependents;\n", ""),
        ("early copy", "\tmbarrier.init", "\tcp.async.bulk.tensor.2d x;\n"
         "\tmbarrier.init"),
        ("non-coherent", "st.global.v4", "ld.global.nc.v4"),
        ("fence", "\tfence.mbarrier_init.release.cluster;\n", ""),
        ("barrier", "\tbar.sync \t0;\n", ""),
        ("stmatrix", "\twgmma.mma", "\tstmatrix.sync.aligned x;\n\twgmma.mma"),
        ("late fence", "\twgmma.mma", "\tstmatrix.sync.aligned x;\n"
         "\tbar.sync 1, 256;\n\tfence.proxy.async.shared::cta;\n\twgmma.mma"),
        ("map", ".align 64 .b8", ".align 16 .b8"),
        ("stride", "4611686293305294848", str(1 << 62 | 0x20 << 32)),
        ("reserved", "4611686293305294848", str(1 << 62 | 0x40 << 32 | 1 << 15)),
        ("base offset", "4611686293305294848",
         str(1 << 62 | 0x40 << 32 | 1 << 49)),
    ]
    for name, old, new in swap:
        changed = GOOD.replace(old, new)
        assert changed != GOOD, name
        assert list(problems_of(KERNEL, changed)), f"{name} is not found"
    for key, value in (("shared_bytes", 232449), ("facts", "static_shared=64"),
                       ("registers", 160), ("tensor_maps", ""),
                       ("tensor_maps", "arg 0: u8[64, 8] box [64, 8] swizzle 128"),
                       ("tensor_maps", "arg 0: u8[512, 8] box [128, 512] "
                        "swizzle 128")):
        assert list(problems_of(dict(KERNEL, **{key: value}), GOOD)), key
    right = GOOD.replace("\twgmma.mma", "\tstmatrix.sync.aligned x;\n"
                         "\tfence.proxy.async.shared::cta;\n"
                         "\tbar.sync 1, 256;\n\twgmma.mma")
    assert not list(problems_of(KERNEL, right)), list(problems_of(KERNEL, right))
    print("every rule finds what it is for")


if __name__ == "__main__":
    if sys.argv[1:] != ["--self-test"]:
        sys.exit(__doc__)
    self_test()
