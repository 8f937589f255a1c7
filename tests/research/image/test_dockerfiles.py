"""The images' files: build contexts, pins and the start script. No image is built here."""

import subprocess
import venv
import zipfile
from datetime import date, timedelta
from pathlib import Path

import pytest
from aws_cdk import App, Environment, Stack
from aws_cdk import aws_ecr as ecr
from aws_cdk.aws_s3_assets import Asset

from local import research_environment
from stacks.common.container_image import ContainerImage, ImageBuilder
from stacks.deployment import load
from stacks.deployment.base_images import BaseImage, base_images
from stacks.deployment.dockerfile import stage_inputs
from stacks.deployment.research import ImageConfig
from tests.templates import CONTEXT, ROOT

IMAGES = ROOT / "research" / "image"
PEGASUS = IMAGES / "pegasus"
DEPLOYMENT = load(ROOT / "deployments" / "research-images.toml")
assert DEPLOYMENT.research


def staged_context(image: ImageConfig, folder: Path) -> Path:
    """Return a copy of the build context as CodeBuild gets it."""
    stack = Stack(App(context=CONTEXT, outdir=str(folder)), "stack", env=Environment(region="us-east-1"))
    built = ContainerImage(
        stack,
        "Image",
        builder=ImageBuilder(stack, "Builder", function_name="build"),
        repository=ecr.Repository(stack, "Repository"),
        context=image.folder,
        dockerfile=image.dockerfile,
    )
    context = built.node.find_child("Context")
    assert isinstance(context, Asset)
    return folder / context.asset_path


@pytest.mark.parametrize("image", DEPLOYMENT.research.images, ids=lambda image: image.name)
def test_build_context_contains_the_copied_files(image: ImageConfig, tmp_path: Path) -> None:
    context = staged_context(image, tmp_path)
    text, count = (context / image.dockerfile).read_text(), 0
    for target in image.targets:
        sources = stage_inputs(text, target).sources
        assert sources is not None
        for source in sources:
            assert list(context.glob(source)), source
        count += len(sources)
    assert (count > 0) is (image.name != "pegasus-1")
    folders = {path.name for path in (context / "image").glob("*")} if (context / "image").exists() else set()
    assert folders == {"pegasus": {"pegasus"}, "r": {"pegasus", "r"}, "pegasus-1": set()}[image.name]
    assert not list(context.rglob("__pycache__"))


@pytest.mark.parametrize("image", DEPLOYMENT.research.images, ids=lambda image: image.name)
def test_base_images_are_those_of_the_file(image: ImageConfig) -> None:
    lines = (image.folder / image.dockerfile).read_text().splitlines()
    bases = {f"${{{name}}}" for name in base_images()} | {"${BASE}"}
    stages = {line.split()[3] for line in lines if line.startswith("FROM")}
    assert {line.split()[1] for line in lines if line.startswith("FROM")} <= bases | stages
    assert not [line for line in lines if line.startswith("ARG") and ("/" in line or ":" in line)]


@pytest.mark.parametrize("base", base_images().values(), ids=lambda base: base.image.rpartition("/")[2])
def test_base_image_is_supported(base: BaseImage) -> None:
    """If this test fails: write a newer tag into research/image/bases.toml, and pin it."""
    if base.support_ends:
        assert base.support_ends - date.today() > timedelta(days=60)


def test_compiled_packages_are_named_and_portable() -> None:
    """Native code of the machine that builds an image would end with "Illegal instruction" on other instance types."""
    lines = (PEGASUS / "requirements.txt").read_text().splitlines()
    compiled = {line.split()[1] for line in lines if line.startswith("--no-binary")}
    assert compiled == {"docopt", "hnswlib", "loompy"}
    # pip applies the options in the file's order.
    assert lines[0] == "--only-binary :all:"
    assert compiled <= {line.partition("==")[0] for line in lines if "==" in line}
    text = (PEGASUS / "Dockerfile").read_text()
    for target in ("processing", "studio", "code-editor"):
        assert "ENV HNSWLIB_NO_NATIVE=1" in stage_inputs(text, target).instructions
    assert research_environment.VARIABLES["HNSWLIB_NO_NATIVE"] == "1"


def test_build_requirements_are_pinned() -> None:
    """pip would install the newest build requirements of a source."""
    pins = {file: _pins(PEGASUS / file) for file in ("build.txt", "requirements.txt")}
    assert set(pins["build.txt"]) == {"numpy", "pybind11", "setuptools"}
    assert pins["build.txt"].items() <= pins["requirements.txt"].items()
    for target in ("processing", "studio", "code-editor"):
        for instruction in stage_inputs((PEGASUS / "Dockerfile").read_text(), target).instructions:
            for command in instruction.split("&&"):
                if "requirements.txt" in command and "pip install" in command:
                    assert "--no-build-isolation" in command


def _pins(file: Path) -> dict[str, str]:
    pinned = (line.split()[0].partition("==") for line in file.read_text().splitlines() if "==" in line)
    return {name: version for name, _, version in pinned}


@pytest.mark.parametrize("path", sorted(IMAGES.glob("*/*.txt")), ids=lambda path: path.name)
def test_packages_are_pinned_by_hash(path: Path) -> None:
    lines = path.read_text().splitlines()
    names = [line for line in lines if line and not line.startswith((" ", "#", "--"))]
    assert names
    assert all("==" in line for line in names)
    assert sum("--hash=sha256:" in line for line in lines) >= len(names)
    assert not [line for line in lines if "://" in line], "no address of a registry"


def test_studio_can_detect_idle_apps() -> None:
    """Studio requests the idle time from this extension of JupyterLab."""
    (version,) = (
        line.split("==")[1].split()[0]
        for line in (PEGASUS / "studio.txt").read_text().splitlines()
        if line.startswith("jupyter-activity-monitor-extension==")
    )
    assert tuple(int(part) for part in version.split(".")) >= (0, 3, 1)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment in place of the image's, with a package and without ipykernel."""
    folder = tmp_path_factory.mktemp("prefix") / "image"
    venv.create(folder, with_pip=True)
    (package,) = (folder / "lib").glob("python*/site-packages")
    (package / "of_the_image.py").write_text("")
    (package / "ipykernel.py").write_text("import sys; print(sys.executable, *sys.argv[1:])")
    return folder


def prepare(home: Path, prefix: Path) -> None:
    share = ROOT / "research" / "notebooks"
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(home), "RESEARCH_SHARE": str(share)}
    script = [str(PEGASUS / "prepare-home"), "python3", "Pegasus"]
    subprocess.run(script, env={**environment, "RESEARCH_PREFIX": str(prefix)}, check=True)


@pytest.mark.exhaustive
def test_home_folder_is_filled_once(home: Path, prefix: Path) -> None:
    prepare(home, prefix)
    copied = home / "research" / "qc_and_clusters.ipynb"
    assert copied.read_text() == (ROOT / "research" / "notebooks" / copied.name).read_text()
    copied.write_text("changed")
    prepare(home, prefix)
    assert copied.read_text() == "changed"


@pytest.mark.exhaustive
def test_own_packages_extend_the_images(home: Path, prefix: Path, tmp_path: Path) -> None:
    """pip writes into the home folder, and the image's packages are imported from the image."""
    prepare(home, prefix)
    own = home / ".own-packages"
    wheel = tmp_path / "mine-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("mine.py", "")
        archive.writestr("mine-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: mine\nVersion: 1\n")
        archive.writestr("mine-1.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("mine-1.dist-info/RECORD", "")
    install = ["install", "--quiet", "--no-index", "--disable-pip-version-check"]
    subprocess.run([own / "bin" / "pip", *install, wheel], check=True)
    code = "import mine, of_the_image; print(mine.__file__, of_the_image.__file__)"
    done = subprocess.run([own / "bin" / "python", "-c", code], capture_output=True, text=True, check=True)
    mine, image = done.stdout.split()
    assert Path(mine).is_relative_to(own)
    assert Path(image).is_relative_to(prefix)
    # The next start keeps the packages. After a change of the image's Python, they are kept aside.
    prepare(home, prefix)
    assert Path(mine).exists()
    (own / "lib").rename(own / "lib-of-another-version")
    prepare(home, prefix)
    assert not Path(mine).exists()
    assert len(list(home.glob(".own-packages-*"))) == 1


@pytest.mark.exhaustive
def test_terminals_run_the_images_python(home: Path, prefix: Path) -> None:
    prepare(home, prefix)
    environment = {"HOME": str(home), "PATH": "/usr/bin:/bin"}
    command = f". {PEGASUS / 'profile.sh'}; command -v python3 pip; echo $PATH"
    lines = subprocess.run(["bash", "-c", command], env=environment, capture_output=True, text=True, check=True)
    python, pip, path = lines.stdout.splitlines()
    assert python == f"{home}/.own-packages/bin/python3"
    assert pip == f"{home}/.own-packages/bin/pip"
    assert path.startswith(f"{home}/.own-packages/bin:/opt/research/bin:")
    for image, target in (("pegasus", "studio"), ("pegasus", "code-editor"), ("r", "studio")):
        instructions = stage_inputs((IMAGES / image / "Dockerfile").read_text(), target).instructions
        assert "COPY image/pegasus/profile.sh /etc/profile.d/research.sh" in instructions
        assert any("/etc/profile.d/research.sh'" in line and ">> /etc/bash.bashrc" in line for line in instructions)
        if target == "studio":
            assert any(line.startswith("ENV SHELL=/bin/bash") for line in instructions)


def test_each_app_has_launcher_jobs_and_notebooks() -> None:
    for image, target in (("pegasus", "studio"), ("pegasus", "code-editor"), ("r", "studio")):
        sources = stage_inputs((IMAGES / image / "Dockerfile").read_text(), target).sources
        assert {"*.py", "jobs", "notebooks", "image/pegasus/prepare-home"} <= set(sources or ())
