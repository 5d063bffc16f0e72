"""Every condition that must never move an arm wrongly, and the tests that say so."""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
TRAJECTORY, LOOP = 'ros/test_trajectory.py', 'ros/test_policy_loop.py'
OBSERVER, HEALTH, HOLD = 'ros/test_observer.py', 'ros/test_health.py', 'ros/test_hold.py'
ACCEPTANCE, NODE = 'system/test_acceptance.py', 'system/test_policy_node.py'

ROWS = {
    'NaN or infinity in an action': [
        (TRAJECTORY, 'test_not_finite_is_rejected'),
        (HEALTH, 'test_a_refused_chunk_is_an_error_with_its_reason'),
        (ACCEPTANCE, 'nan_chunk'),
    ],
    'outside position limits': [
        (TRAJECTORY, 'test_far_beyond_a_limit_is_rejected'),
        (TRAJECTORY, 'test_slightly_beyond_a_limit_is_clamped'),
        (TRAJECTORY, 'test_policy_reject_clamps_nothing'),
    ],
    'step or speed too large': [
        (TRAJECTORY, 'test_too_fast_between_rows_is_rejected'),
        (TRAJECTORY, 'test_too_fast_from_the_reference_is_rejected'),
    ],
    'first point far from the measured pose': [
        (TRAJECTORY, 'test_start_jump_is_rejected'),
        (TRAJECTORY, 'test_a_first_row_far_from_the_resting_arms_is_rejected'),
        (TRAJECTORY, 'test_start_ramp_approaches_slowly_instead_of_rejecting'),
        (HOLD, 'test_arms_that_do_not_go_where_they_are_told_get_no_more_chunks'),
    ],
    'one arm valid, the other not': [(TRAJECTORY, 'test_bad_row_of_one_arm_stops_both')],
    'image of unknown encoding, short rows or another size': [
        ('ros/test_convert.py', 'test_unreadable_images_are_refused_with_what_was_found'),
        (OBSERVER, 'test_other_image_is_refused'),
        (OBSERVER, 'test_a_refused_message_is_told_while_its_stream_is_missing'),
    ],
    'stale, missing or frozen': [
        (OBSERVER, 'test_names_the_stream_that_stopped'),
        (OBSERVER, 'test_names_the_missing_stream'),
        (OBSERVER, 'test_a_frozen_camera_is_counted_and_then_stops_the_policy'),
        (ACCEPTANCE, 'unplugged_camera'),
    ],
    'stamp zero': [(OBSERVER, 'test_a_stamp_of_zero_is_refused_with_a_hint')],
    'stamp in the future': [
        (OBSERVER, 'test_far_future_stamps_are_refused'),
        (HEALTH, 'test_clocks_that_disagree_are_told_before_they_do_harm'),
    ],
    'time jumps back': [
        (OBSERVER, 'test_time_going_back_clears_everything'),
        (LOOP, 'test_time_that_goes_back_disarms_until_a_fresh_set_is_there'),
        (HOLD, 'test_after_time_went_back_nothing_is_sent_that_belonged_to_the_old_time'),
        (ACCEPTANCE, 'test_after_time_went_back_a_fresh_set_of_sensors_is_needed'),
    ],
    'wrong, missing or doubled joint names': [
        (OBSERVER, 'test_missing_joint_is_named'),
        (OBSERVER, 'test_doubled_joint_is_named'),
        (TRAJECTORY, 'test_other_order_of_joints_is_rejected'),
        (ACCEPTANCE, 'test_joints_of_another_robot_end_the_run_with_both_lists'),
        (ACCEPTANCE, 'test_a_policy_for_other_joints_is_refused_at_configure'),
    ],
    'array lengths differ': [
        (OBSERVER, 'test_names_and_positions_must_match_in_number'),
        (TRAJECTORY, 'test_other_shape_is_rejected'),
    ],
    'goal while inactive or busy': [
        (NODE, 'test_a_goal_is_refused_unless_the_node_is_active'),
        (NODE, 'test_an_empty_instruction_and_a_second_run_are_refused'),
    ],
    'empty instruction': [
        (NODE, 'test_an_empty_instruction_and_a_second_run_are_refused'),
        (OBSERVER, 'test_waits_for_an_instruction'),
    ],
    'command silence': [
        (HEALTH, 'test_a_watchdog_notices_silence_once'),
        (ACCEPTANCE, 'test_a_stalled_inference_ends_in_held_arms'),
        (ACCEPTANCE, 'test_a_policy_that_is_killed_leaves_the_arms_at_rest_within_a_chunk'),
    ],
    'emergency stop': [
        (HEALTH, 'test_releasing_the_button_starts_nothing'),
        (ACCEPTANCE, 'test_an_emergency_stop_holds_and_stays_until_cleared'),
        (HOLD, 'test_no_setting_refuses_a_hold'),
        (HOLD, 'test_a_rehearsal_leaves_what_is_under_way_to_be_held'),
    ],
    'start without control': [
        (LOOP, 'test_a_rehearsal_commands_nothing'),
        (ACCEPTANCE, 'test_without_control_chunks_are_shown_and_nothing_is_sent'),
    ],
    'shutdown, SIGTERM or an exception': [
        (ACCEPTANCE, 'test_sigterm_holds_the_arms_and_ends_cleanly'),
        (ACCEPTANCE, 'inference_that_raises'),
        ('ros/test_ros_util.py', 'test_a_node_comes_to_rest_before_its_topics_are_taken_away'),
    ],
    'ground truth reaches the policy': [(NODE, 'test_no_ground_truth_reaches_the_policy')],
}


@pytest.mark.parametrize('row', ROWS)
def test_every_condition_has_its_tests(row):
    for file, name in ROWS[row]:
        text = (TESTS / file).read_text(encoding='utf-8')
        assert re.search(rf'^def {name}\(', text, re.MULTILINE), f'{file} has no {name}'
