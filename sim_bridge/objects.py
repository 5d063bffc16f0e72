"""Procedural objects: described as parts, built into a scene, with named points on them.

Lengths in metres in the object's frame, whose z axis points up when the object stands as meant.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import sapien
from sapien import physx, render

from aim_policy.interface import Vector

Colour = tuple[float, float, float]  # RGB in [0, 1]
LATHE_SEGMENTS = 32
STAVES = 16
HULL_SEGMENTS = 16  # a lathe collides with this many facets; lay it on one or it rolls


@dataclass(frozen=True)
class Box:
    """A box around `at`."""

    half_size: tuple[float, float, float]
    colour: Colour
    at: sapien.Pose = field(default_factory=sapien.Pose)
    density: float = 1000.0
    collides: bool = True

    def shapes(self, material: physx.PhysxMaterial) -> list[physx.PhysxCollisionShape]:
        """Return the collision shapes, placed in the object's frame."""
        return [_placed(physx.PhysxCollisionShapeBox(self.half_size, material), self.at)]

    def visual(self) -> render.RenderShape:
        """Return what is seen."""
        return render.RenderShapeBox(self.half_size, paint(self.colour))


@dataclass(frozen=True)
class Lathe:
    """A solid of revolution about z; `profile` is ((radius, z), ...) from bottom to top.

    It collides as its convex hull or, with a wall, as a vessel: a floor and a ring of staves
    between the outer profile and `wall_m` inside of it. A vessel's profile goes up outside, down
    inside.
    """

    profile: tuple[tuple[float, float], ...]
    colour: Colour
    at: sapien.Pose = field(default_factory=sapien.Pose)
    density: float = 1000.0
    collides: bool = True
    metallic: float = 0.0
    wall_m: float = 0.0

    def shapes(self, material: physx.PhysxMaterial) -> list[physx.PhysxCollisionShape]:
        """Return the collision shapes, placed in the object's frame."""
        hulls = self._staves() if self.wall_m else [self.mesh(HULL_SEGMENTS)[0]]
        one = np.ones(3)
        return [
            _placed(physx.PhysxCollisionShapeConvexMesh(hull, one, material), self.at)
            for hull in hulls
        ]

    def _staves(self) -> list[np.ndarray]:
        """Return the corners (float32[8, 3] each) of a vessel's floor sectors and staves."""
        outer = self.profile[: 1 + int(np.argmax([z for _, z in self.profile]))]
        (low_r, low_z), (high_r, high_z) = outer[0], outer[-1]
        edges = np.linspace(0, 2 * np.pi, STAVES + 1)
        hulls = []
        for a, b in zip(edges[:-1], edges[1:], strict=True):
            corners = [
                (radius * np.cos(angle), radius * np.sin(angle), z)
                for angle in (a, b)
                for base, z in ((low_r, low_z), (high_r, high_z))
                for radius in (base, base - self.wall_m)
            ]
            floor = [
                (radius * np.cos(angle), radius * np.sin(angle), z)
                for angle in (a, b)
                for radius in (low_r, 1e-3)
                for z in (low_z, low_z + self.wall_m)
            ]
            hulls += [np.array(corners, np.float32), np.array(floor, np.float32)]
        return hulls

    def visual(self) -> render.RenderShape:
        """Return what is seen; each facet has its own vertices so that edges stay sharp."""
        vertices, triangles = self.mesh(LATHE_SEGMENTS)
        corners = vertices[triangles].reshape(-1, 3)
        faces = corners.reshape(-1, 3, 3)
        normal = np.cross(faces[:, 1] - faces[:, 0], faces[:, 2] - faces[:, 0])
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
        return render.RenderShapeTriangleMesh(
            corners.astype(np.float32),
            np.arange(len(corners), dtype=np.uint32).reshape(-1, 3),
            np.repeat(normal, 3, axis=0).astype(np.float32),
            np.zeros((len(corners), 2), np.float32),
            paint(self.colour, roughness=0.3 if self.metallic else 0.6, metallic=self.metallic),
        )

    def mesh(self, segments: int) -> tuple[np.ndarray, np.ndarray]:
        """Return float32[V, 3] vertices and uint32[T, 3] triangles of the closed surface."""
        profile = np.array([(0.0, self.profile[0][1]), *self.profile, (0.0, self.profile[-1][1])])
        angle = np.arange(segments) * (2 * np.pi / segments)
        ring = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        radius, height = profile[:, 0], profile[:, 1]
        xy = radius[:, None, None] * ring[None]
        z = np.broadcast_to(height[:, None, None], (len(profile), segments, 1))
        vertices = np.concatenate([xy, z], axis=2).reshape(-1, 3).astype(np.float32)
        row, column = np.meshgrid(np.arange(len(profile) - 1), np.arange(segments), indexing='ij')
        a = row * segments + column
        b = row * segments + (column + 1) % segments
        quads = np.stack([a, b, b + segments, a, b + segments, a + segments], axis=-1)
        return vertices, quads.reshape(-1, 3).astype(np.uint32)


def cup(
    bottom: float, top: float, height: float, wall: float, colour: Colour, **more: object
) -> Lathe:
    """Return an open vessel of outer radii `bottom` and `top` that can hold and be held."""
    profile = ((bottom, 0.0), (top, height), (top - wall, height), (bottom - wall, wall))
    return Lathe(profile, colour, wall_m=wall, **more)  # type: ignore[arg-type]


def cylinder(radius: float, height: float, colour: Colour, **more: object) -> Lathe:
    """Return an upright cylinder whose base centre is the origin of `at`."""
    return Lathe(((radius, 0.0), (radius, height)), colour, **more)  # type: ignore[arg-type]


Part = Box | Lathe


@dataclass(frozen=True)
class Thing:
    """An object in the scene.

    Attributes:
        entity: its body.
        points: name -> pose in the object's frame of a place that matters (a grasp, a striking
        face).
    """

    entity: sapien.Entity
    points: dict[str, sapien.Pose]

    @property
    def name(self) -> str:
        """Its name in the world."""
        return self.entity.name

    @property
    def movable(self) -> bool:
        """Whether it can be carried away."""
        return isinstance(self.body, physx.PhysxRigidDynamicComponent)

    @property
    def pose(self) -> sapien.Pose:
        """Where it is, in the world."""
        return self.entity.pose

    @property
    def body(self) -> physx.PhysxRigidBaseComponent:
        """Its physics."""
        return self.entity.find_component_by_type(physx.PhysxRigidBaseComponent)

    def point(self, name: str) -> sapien.Pose:
        """Return a named point's pose in the world."""
        return self.entity.pose * self.points[name]

    def position(self, name: str) -> Vector:
        """Return a named point's position in the world, float64[3]."""
        return np.asarray(self.point(name).p, dtype=np.float64)


def build(
    scene: sapien.Scene,
    name: str,
    parts: tuple[Part, ...],
    pose: sapien.Pose,
    points: dict[str, sapien.Pose],
    mass_kg: float | None = None,
) -> Thing:
    """Put an object into the scene.

    Args:
        scene: where to.
        name: entity name.
        parts: what it is made of.
        pose: where it starts.
        points: see `Thing`.
        mass_kg: its mass, spread by the parts' densities; None makes it static.
    """
    static = mass_kg is None
    body = physx.PhysxRigidStaticComponent() if static else physx.PhysxRigidDynamicComponent()
    entity = embody(name, parts, body)
    if mass_kg is not None:
        _set_mass(body, mass_kg)
    entity.pose = pose
    scene.add_entity(entity)
    return Thing(entity, points)


def embody(
    name: str, parts: tuple[Part, ...], body: physx.PhysxRigidBaseComponent
) -> sapien.Entity:
    """Return an entity around a body that gets the shapes and the looks of its parts."""
    look = render.RenderBodyComponent()
    material = physx.PhysxMaterial(0.5, 0.5, 0.0)
    for part in parts:
        visual = part.visual()
        visual.local_pose = part.at
        look.attach(visual)
        for shape in part.shapes(material) if part.collides else ():
            shape.density = part.density
            body.attach(shape)
    entity = sapien.Entity()
    entity.name = name
    entity.add_component(body)
    entity.add_component(look)
    return entity


def _placed(shape: physx.PhysxCollisionShape, pose: sapien.Pose) -> physx.PhysxCollisionShape:
    shape.local_pose = pose
    return shape


def _set_mass(body: physx.PhysxRigidDynamicComponent, mass_kg: float) -> None:
    """Scale mass and inertia together; PhysX alone would keep the inertia of the densities."""
    centre, inertia = body.cmass_local_pose, np.asarray(body.inertia) * (mass_kg / body.mass)
    body.mass, body.inertia, body.cmass_local_pose = mass_kg, inertia, centre


def paint(colour: tuple, roughness: float = 0.6, metallic: float = 0.0) -> render.RenderMaterial:
    """Return a plain material; colour RGB in [0, 1]."""
    material = render.RenderMaterial()
    material.base_color = [*colour, 1.0]
    material.roughness = roughness
    material.metallic = metallic
    return material
