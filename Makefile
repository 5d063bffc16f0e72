# Each target is what you could type yourself after `tools/setup.sh` and `source env.sh`.
#   make sim_eval ARGS='task:=click_bell episodes:=3'

SHELL := /bin/bash
ENTER := source ./env.sh &&

.PHONY: setup build sim_eval test lint bench train clean

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
	$(ENTER) python -m sim_bridge.bench $(ARGS) && python -m aim_ros.bench

# A small aim_tiny from nothing, in runs/small: two tasks, under 45 minutes on two cores.
train: build
	$(ENTER) python -m sim_bridge.collect --tasks click_bell click_alarmclock --setting easy \
	    --episodes 100 --picture-every 4 --out runs/small/data
	$(ENTER) python -m aim_policy.fit_tokenizer --data runs/small/data --out runs/small/tokenizer
	$(ENTER) python -m aim_policy.train_stage1 --config config/train/stage1_small.yaml \
	    --data runs/small/data --tokenizer runs/small/tokenizer --out runs/small
	$(ENTER) python -m aim_policy.evaluate --checkpoint runs/small/checkpoint --setting easy \
	    --tasks click_bell click_alarmclock --episodes 20 --preset realtime --out runs/small/results

clean:
	rm -rf build install log
