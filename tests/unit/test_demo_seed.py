"""The sample tasks of `taskdash demo` are those of the original interface text, and more (SPEC 10)."""

from taskdash.demo.stage import CYCLE_S, FIRST_SILENCE_S, SILENT_S, is_silent, seed
from taskdash.model.records import TaskFields
from taskdash.wire.messages import check_task


def every_task() -> dict[str, dict[str, str]]:
    return {task["id"]: task for service in seed()["services"] for task in service["tasks"]}


def test_the_tasks_of_the_original_text_are_there_with_their_status() -> None:
    tasks = every_task()
    shown = {key: (tasks[key]["name"], tasks[key]["status"]) for key in ("133", "132", "131", "130", "137")}
    assert shown == {
        "133": ("zxf", "running"),
        "132": ("lxq", "finish"),
        "131": ("lb", "shutdown"),
        "130": ("zgl", "restart"),
        "137": ("zy", "running"),
    }


def test_there_are_about_forty_tasks_of_five_services_in_three_groups() -> None:
    services = seed()["services"]
    assert len(services) == 5
    assert 35 <= len(every_task()) == sum(len(service["tasks"]) for service in services) <= 45
    assert {service["group"] for service in services} == set(seed()["groups"]) == {"mx", "pay", "data"}


def test_every_task_keeps_the_limits_and_names_only_people_that_the_demo_makes() -> None:
    people = {user["name"] for user in seed()["users"]}
    for task in every_task().values():
        check_task(TaskFields(**task))
        assert task.get("user", "ssx") in people


def test_one_service_falls_silent_long_enough_to_be_called_down_and_comes_back_again_and_again() -> None:
    assert [service["id"] for service in seed()["services"] if service.get("falls_silent")] == ["notify-gw"]
    assert not is_silent(FIRST_SILENCE_S - 1)
    for cycle in range(3):
        began = FIRST_SILENCE_S + cycle * CYCLE_S
        assert is_silent(began)
        assert is_silent(began + SILENT_S - 1)
        assert not is_silent(began + SILENT_S)
