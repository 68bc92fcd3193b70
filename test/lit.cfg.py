# lit: every *.mlir and *.test under test/ is one test.
import os
import shutil

import lit.formats

config.name = "hadal"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".test"]
config.excludes = ["Inputs", "golden", "lit.cfg.py", "lit.site.cfg.py"]
config.test_source_root = os.path.dirname(__file__)
config.test_exec_root = os.path.join(config.hadal_binary_dir, "test")

# Our tools, then FileCheck, not, count and split-file of LLVM.
path = [os.path.join(config.hadal_binary_dir, "bin"), config.llvm_tools_dir]
config.environment["PATH"] = os.pathsep.join(path + [os.environ["PATH"]])
# Kernels that several tests compile are compiled once, and nobody's home is
# touched. Tests of what compiling gives say --kernel-cache=none.
config.environment["XDG_CACHE_HOME"] = os.path.join(config.hadal_binary_dir,
                                                    "test-cache")
# No pass may lose the name of a model operation (hadal-compile --verify-each).
config.environment["HADAL_VERIFY_EACH"] = "1"
config.substitutions.append(("%docs", os.path.join(config.hadal_source_dir, "docs")))
config.substitutions.append(("%models", os.path.join(config.hadal_source_dir, "models")))

if shutil.which("ptxas", path=config.environment["PATH"]):
    config.available_features.add("ptxas")
