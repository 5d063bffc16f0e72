"""Renders one picture with SAPIEN and says on which device, or in one line what is missing."""

import sys
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this checkout, built or not
warnings.simplefilter('ignore')


def render_mean() -> tuple[str, float]:
    """Return the device's name and the mean brightness, from 0 to 1, of a lit box."""
    import sapien

    from sim_bridge.scene import make_renderer

    renderer = make_renderer()
    scene = sapien.Scene([sapien.physx.PhysxCpuSystem(), renderer])
    scene.set_ambient_light([0.5, 0.5, 0.5])
    builder = scene.create_actor_builder()
    builder.add_box_visual(half_size=[0.2, 1, 1])
    builder.build_static().set_pose(sapien.Pose([1, 0, 0]))
    camera = scene.add_camera('check', width=32, height=32, fovy=0.6, near=0.1, far=10)
    scene.update_render()
    camera.take_picture()
    return str(renderer.device), float(camera.get_picture('Color')[..., :3].mean())


def main() -> int:
    """Return 0 when the picture shows the box."""
    try:
        device, mean = render_mean()
    except (ImportError, RuntimeError, ValueError) as error:  # ValueError: nothing can render
        print(f'SAPIEN makes no pictures: {error}', file=sys.stderr)
        return 1
    if mean < 0.05:
        print(f'SAPIEN makes black pictures on {device}', file=sys.stderr)
        return 1
    print(f'SAPIEN renders on {device}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
