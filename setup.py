"""Build the kernel, every Cython module in iplog_core/kernel; all else stands in pyproject.toml.

With IPLOG_SANITIZE=1 in the environment the modules check their bounds and run under the address and undefined-behaviour
sanitisers, and are built apart from the ordinary ones.
"""

import os
from glob import glob

from Cython.Build import cythonize
from setuptools import Extension, setup

SANITIZE = os.environ.get("IPLOG_SANITIZE") == "1"
BUILD = "build/sanitize" if SANITIZE else "build"
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]

extensions = [
    Extension(
        path.removesuffix(".pyx").replace("/", "."),
        [path],
        extra_compile_args=[*SANITIZERS, "-fno-omit-frame-pointer", "-O1", "-g"] if SANITIZE else ["-O3", "-g0"],
        extra_link_args=SANITIZERS if SANITIZE else [],
    )
    for path in sorted(glob("iplog_core/kernel/*.pyx"))
]

setup(
    ext_modules=cythonize(
        extensions,
        build_dir=f"{BUILD}/cython",
        compiler_directives={
            "language_level": "3",
            "boundscheck": SANITIZE,
            "wraparound": False,
            "initializedcheck": SANITIZE,
            "cdivision": not SANITIZE,
            "overflowcheck": False,
        },
    ),
    options={"build": {"build_base": BUILD}},
)
