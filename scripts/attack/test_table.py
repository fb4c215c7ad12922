"""How promises are judged."""

import unittest

import table


def seen(quiet=1.0, hostile=1.0, lost=0, grown=0.0, **said):
    """What one round saw."""
    attacker = {"planned": 10, "sent": 10, "stopped": 0, "did": "took it", "has_few_keys": False}
    return {
        "quiet": {"p99": quiet}, "hostile": {"p99": hostile, "lost": lost, "sent": 100, "why": {}},
        "attacker": attacker | said, "passed_on": 0, "cpu": 1.0, "quiet_cpu": 0.5,
        "peak": 40.0 + grown, "grown": grown, "keys": None, "died": False,
    }  # fmt: skip


def row(*rounds, **named):
    made = table.Row("flood", "Tidegate, default", **{"is_promised": True} | named)
    made.rounds = list(rounds)
    return made


class Judged(unittest.TestCase):
    def check(self, rounds, faults, code, **named):
        made = row(*rounds, **named)
        self.assertEqual(list(made.broken()), faults)
        self.assertEqual(table.verdict([made])[1], code)

    def test_a_good_client_that_sees_nothing(self):
        self.check([seen(), seen(), seen()], [], 0)

    def test_below_the_floor_nothing_is_measured(self):
        self.check([seen(0.5, 5.9)], [], 0)
        self.check([seen(0.5, 6.1)], ["p99 of 6.1 against 0.5 ms"], 1)

    def test_above_the_floor_it_is_three_times(self):
        self.check([seen(4.0, 11.9)], [], 0)
        self.check([seen(4.0, 12.1)], ["p99 of 12.1 against 4.0 ms"], 1)

    def test_one_bad_round_of_three_is_noise_and_two_are_not(self):
        self.check([seen(), seen(1.0, 400.0), seen()], [], 0)
        bad = [seen(), seen(1.0, 400.0), seen(1.0, 300.0)]
        self.check(bad, ["p99 of 300 against 1.0 ms"], 1)

    def test_a_round_is_held_against_its_own_quiet(self):
        self.check([seen(1.0, 5.0), seen(5.0, 14.0), seen(5.0, 14.0)], [], 0)

    def test_a_machine_that_others_have_excuses_nothing(self):
        self.check([seen(30.0, 50.0), seen(30.0, 50.0), seen()], [], 3)
        self.check(
            [seen(30.0, 50.0), seen(1.0, 7.0), seen(1.0, 7.0)], ["p99 of 7.0 against 1.0 ms"], 1
        )
        self.check([seen(30.0, 50.0, lost=1)], ["1 requests were lost"], 1)

    def test_who_got_no_answer_at_all_waited_longest(self):
        self.check([seen(1.0, None)], ["p99 of none against 1.0 ms"], 1)

    def test_one_lost_request_is_one_too_many(self):
        self.check([seen(), seen(lost=1), seen()], ["1 requests were lost"], 1)

    def test_nothing_is_promised_without_the_key(self):
        self.check([seen(1.0, 900.0, lost=7)], [], 0, is_promised=False)

    def test_an_attack_must_attack(self):
        weak = ["the attack was too weak to say anything"]
        self.check([seen(sent=4)], weak, 1, is_promised=False)
        self.check([seen(sent=4, stopped=1)], [], 0, is_promised=False)

    def test_memory_grows_by_so_much_more_than_with_the_defaults(self):
        made = row(seen(grown=75.0), most_mib=64)
        made.beside = row(seen(grown=10.0))
        self.assertEqual(list(made.broken()), ["grew by 65 MiB more than with the defaults"])
        made.beside = row(seen(grown=12.0))
        self.assertEqual(list(made.broken()), [])
        made.rounds = [seen(has_few_keys=True)]
        few = ["too few keys came to say anything of memory"]
        self.assertEqual(list(made.broken()), few)

    def test_a_target_that_does_not_start_is_a_fault(self):
        made = row()
        made.fault = "does not start"
        self.assertEqual(table.verdict([made])[1], 1)


if __name__ == "__main__":
    unittest.main()
