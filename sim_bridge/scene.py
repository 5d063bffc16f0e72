"""What is around the robot: ground, wall, table, lights and cameras, as RoboTwin 2.0 places them.

World frame: x to the robot's right, y away from it, z up; metres.
"""

from __future__ import annotations

import math

import numpy as np
import sapien
from sapien import physx, render

from aim_policy.config import ConfigError
from aim_policy.interface import Image
from aim_policy.robot import CameraSpec, RobotSpec
from sim_bridge.objects import Box, Thing, build
from sim_bridge.robot_model import RobotModel
from sim_bridge.scenery import WHITE, PicturedBox, Scenery, draw_lights

TABLE_TOP_M = 0.74
TABLE_SIZE = (1.2, 0.7, 0.05)
TABLE = 'table'
NEAR_M, FAR_M = 0.1, 100.0
NO_RENDERER = (
    'no Vulkan device here can render: SAPIEN needs an NVIDIA driver with Vulkan, or Mesa 24.3 or '
    'newer (package mesa-vulkan-drivers, driver lavapipe); tools/setup.sh fetches it ({error})'
)


def make_scene(physics_dt_s: float) -> sapien.Scene:
    """Make an empty scene with RoboTwin's physics settings and a renderer.

    Raises:
        ConfigError: nothing here can render.
    """
    material = physx.PhysxMaterial(0.5, 0.5, 0.0)
    physx.set_default_material(0.5, 0.5, 0.0)
    scene = sapien.Scene([physx.PhysxCpuSystem(), make_renderer()])
    scene.set_timestep(physics_dt_s)
    scene.add_ground(0.0, material=material)
    return scene


def make_renderer() -> render.RenderSystem:
    """Return a render system on the GPU if there is one that renders, else on the CPU."""
    errors = []
    for device in ('cuda', 'cpu'):
        try:
            return render.RenderSystem(sapien.Device(device))
        except RuntimeError as error:
            errors.append(str(error).splitlines()[0])
    raise ConfigError(NO_RENDERER.format(error='; '.join(errors)))


def add_lights(scene: sapien.Scene, scenery: Scenery) -> list[render.RenderLightComponent]:
    """Light the scene; only the sun casts shadows, which is what a CPU can afford."""
    scene.set_ambient_light(scenery.ambient)
    sun = scene.add_directional_light(
        [0, 0.5, -1], scenery.lights[0], shadow=True, shadow_scale=1.5, shadow_map_size=1024
    )
    lamps = [
        scene.add_point_light([x, 0, 1.8], colour, shadow=False)
        for x, colour in zip((1, -1), scenery.lights[1:], strict=True)
    ]
    return [sun, *lamps]


def flicker(
    scene: sapien.Scene, lights: list[render.RenderLightComponent], rng: np.random.Generator
) -> None:
    """Give every light a new colour and let the light from everywhere wander."""
    for light, colour in zip(lights, draw_lights(rng), strict=True):
        light.set_color(colour)
    ambient = np.asarray(scene.ambient_light)[:3] + rng.uniform(-0.1, 0.1, 3)
    scene.set_ambient_light(np.clip(ambient, 0, 1))


def add_furniture(scene: sapien.Scene, scenery: Scenery) -> Thing:
    """Add the wall and the table; return the table, whose origin is the centre of its top."""
    wall = PicturedBox((3, 0.6, 1.5), scenery.wall, picture=scenery.wall_picture)
    build(scene, 'wall', (wall,), sapien.Pose([0, 1, 1.5]), {})
    top = TABLE_TOP_M + scenery.table_bias_m
    x, y, z = (size / 2 for size in TABLE_SIZE)
    height = (top - 2 * z) / 2
    legs = [
        Box(
            (0.025, 0.025, height),
            WHITE,
            at=sapien.Pose([sx * (x - 0.05), sy * (y - 0.05), height - top]),
        )
        for sx in (-1, 1)
        for sy in (-1, 1)
    ]
    board = PicturedBox(
        (x, y, z), scenery.table, at=sapien.Pose([0, 0, -z]), picture=scenery.table_picture
    )
    return build(scene, TABLE, (board, *legs), sapien.Pose([0, 0, top]), {})


def add_cameras(
    scene: sapien.Scene, robot: RobotSpec, model: RobotModel
) -> dict[str, render.RenderCameraComponent]:
    """Mount every camera of the robot: placed ones in the world, others on their links.

    Raises:
        ConfigError: the robot names a camera that has no place.
    """
    cameras = {}
    for spec in robot.cameras:
        camera = render.RenderCameraComponent(spec.width, spec.height)
        camera.set_fovy(math.radians(spec.fovy_deg), compute_x=True)
        camera.near, camera.far = NEAR_M, FAR_M
        camera.name = spec.name
        _mount(scene, spec, camera, model)
        cameras[spec.name] = camera
    return cameras


def _mount(
    scene: sapien.Scene,
    spec: CameraSpec,
    camera: render.RenderCameraComponent,
    model: RobotModel,
) -> None:
    if spec.placement:
        entity = sapien.Entity()
        entity.name = spec.name
        entity.add_component(camera)
        entity.pose = sapien.Pose(spec.placement.matrix)
        scene.add_entity(entity)
        return
    link = model.link(spec.name)
    if link is None:
        raise ConfigError(f'camera {spec.name} has no placement and is no link of the URDF')
    link.entity.add_component(camera)


def take_pictures(
    scene: sapien.Scene, cameras: dict[str, render.RenderCameraComponent]
) -> dict[str, Image]:
    """Render every camera: name -> uint8[H, W, 3] RGB."""
    scene.update_render()
    for camera in cameras.values():
        camera.take_picture()
    pictures = {}
    for name, camera in cameras.items():
        colour = camera.get_picture('Color')[..., :3]
        pictures[name] = (np.clip(colour, 0, 1) * 255 + 0.5).astype(np.uint8)
    return pictures
