# Each target is what you could type yourself after `tools/setup.sh` and `source env.sh`.
#   make sim_eval ARGS='task:=click_bell episodes:=3'

SHELL := /bin/bash
ENTER := source ./env.sh &&

.PHONY: setup build sim_eval test lint bench clean

setup:
	tools/setup.sh

build: setup
	$(ENTER) colcon build --symlink-install

sim_eval: build
	$(ENTER) ros2 launch aim_ros sim_eval.launch.py $(ARGS)

test: build
	rm -rf build/aim_ros/test_results build/aim_ros/Testing
	$(ENTER) colcon test && colcon test-result --verbose

lint: setup
	$(ENTER) ruff check . && ruff format --check . && mypy

bench: build
	$(ENTER) python -m sim_bridge.bench $(ARGS)

clean:
	rm -rf build install log
