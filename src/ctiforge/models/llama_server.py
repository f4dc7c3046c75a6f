"""The child process of `LlamaServerModel`: llama.cpp's HTTP server on a free port of 127.0.0.1, until its parent is gone.

``python -m ctiforge.models.llama_server``: settings come as one line of JSON on standard input; one line of JSON with ``url``
or ``error`` goes to standard output when the model is loaded; the end of standard input ends the process, so that it cannot
outlive its parent, however that ends. llama.cpp logs to standard error.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from dataclasses import asdict, dataclass
from typing import Any

from ctiforge.core.errors import MissingExtraError

__all__ = ["LlamaSettings", "build_llama_server"]


@dataclass(frozen=True, slots=True)
class LlamaSettings:
    """How llama.cpp runs a model.

    Attributes:
        context_size: tokens of one prompt with its completion.
        parallel: requests that are worked on at once; the context is as many times larger.
        threads: of the CPU.
        gpu_layers: layers on a GPU; -1 leaves it to llama.cpp (none in a build without GPU).
        chat_template: Jinja text in place of the model's own.
        api_key: without it the server answers nobody; empty for none.
    """

    path: str
    context_size: int
    parallel: int
    threads: int
    gpu_layers: int = -1
    chat_template: str = ""
    api_key: str = ""

    def to_json(self) -> str:
        """Return the settings as one line."""
        return json.dumps(asdict(self))


def build_llama_server(settings: LlamaSettings) -> Any:
    """Load the model and return an `xllamacpp.Server`, which listens on a free port of 127.0.0.1.

    Sampling is from the model's own distribution at the request's temperature: no top-k, top-p or min-p but a request's own.

    Raises:
        MissingExtraError: xllamacpp is not installed.
        RuntimeError: llama.cpp cannot load the file.
    """
    try:
        import xllamacpp
    except ImportError:
        raise MissingExtraError("xllamacpp", "gguf") from None
    params = xllamacpp.CommonParams()
    params.model.path = settings.path
    params.n_ctx = settings.context_size * settings.parallel
    params.n_parallel = settings.parallel
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = settings.threads
    params.n_gpu_layers = settings.gpu_layers
    params.sampling.top_k, params.sampling.top_p, params.sampling.min_p = 0, 1.0, 0.0
    params.fit_params = False  # the context asked for, or an error; never a smaller one
    params.offline = True
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.endpoint_slots = params.ui = False
    params.verbosity = 1
    if settings.chat_template:
        params.chat_template = settings.chat_template
    if settings.api_key:
        params.api_keys = [settings.api_key]
    return xllamacpp.Server(params)


def _main() -> None:
    settings = LlamaSettings(**json.loads(sys.stdin.readline()))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        server = build_llama_server(settings)
    except Exception as error:  # whatever llama.cpp says, the parent tells the user
        print(json.dumps({"error": str(error) or type(error).__name__}), flush=True)
        os._exit(1)
    print(json.dumps({"url": server.listening_address}), flush=True)
    threading.Event().wait()


def _end_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os._exit(0)


if __name__ == "__main__":
    _main()
