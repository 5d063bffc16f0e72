"""Renders one picture with SAPIEN and says on which device, or in one line what is missing."""

import sys
import warnings

warnings.simplefilter('ignore')

NEEDED = 'a GPU driver with Vulkan, or the Vulkan drivers of Mesa 24.3 or newer (lavapipe)'


def render_mean() -> tuple[str, float]:
    """Return the device's name and the mean brightness, from 0 to 1, of a lit box."""
    import sapien

    try:
        device = sapien.render.RenderSystem().device
    except RuntimeError:
        device = sapien.Device('cpu')
    scene = sapien.Scene([sapien.physx.PhysxCpuSystem(), sapien.render.RenderSystem(device)])
    scene.set_ambient_light([0.5, 0.5, 0.5])
    builder = scene.create_actor_builder()
    builder.add_box_visual(half_size=[0.2, 1, 1])
    builder.build_static().set_pose(sapien.Pose([1, 0, 0]))
    camera = scene.add_camera('check', width=32, height=32, fovy=0.6, near=0.1, far=10)
    scene.update_render()
    camera.take_picture()
    return str(device), float(camera.get_picture('Color')[..., :3].mean())


def main() -> int:
    """Return 0 when the picture shows the box."""
    try:
        device, mean = render_mean()
    except (ImportError, RuntimeError) as error:
        print(f'SAPIEN cannot render here: it needs {NEEDED} ({error})', file=sys.stderr)
        return 1
    if mean < 0.05:
        print(f'SAPIEN renders black pictures on {device}: it needs {NEEDED}', file=sys.stderr)
        return 1
    print(f'SAPIEN renders on {device}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
