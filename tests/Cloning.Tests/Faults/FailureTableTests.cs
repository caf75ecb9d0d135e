using System.Text;
using TestKit;
using Xunit;

namespace Cloning.Tests.Faults;

/// <summary>The table of docs/failures.md is what the tests do. <c>BGKVM_WRITE_DOCS=1</c> writes it.</summary>
public sealed class FailureTableTests
{
    private const string Begin = "<!-- table made by tests/Cloning.Tests/Faults/FailureTableTests.cs -->\n", End = "<!-- end of table -->\n";

    // What tests of their own show: file, test, and the row's other cells.
    private static readonly (string Step, string Failure, string Made, string Outcome, string File, string Test)[] s_others =
    [
        ("1 prepare", "the host has no memory for three times the guest's", "a guest of more than half of what is free",
            "refused, exit code 4", "tests/Cloning.Tests/Faults/RefusalTests.cs", "A_host_that_lacks_memory_refuses_and_says_how_much"),
        ("any", "a second request while one runs", "two requests", "refused, exit code 1; the first goes on",
            "tests/Cloning.Tests/BackgroundRebootTests.cs", "A_second_request_while_one_runs_is_refused"),
        ("any", "the instance's process is killed", "SIGKILL at random moments, and at steps",
            "the next start has the state before or after the commit", "tests/Cloning.Tests/Kills/KillTests.cs",
            "Killed_at_random_moments_it_starts_again_with_the_state_before_or_after_the_commit"),
        ("2 fork", "the instance's process is killed inside the clone pause", "SIGKILL while a disk request holds the pause up",
            "the next start has the state before", "tests/Cloning.Tests/Kills/KillTests.cs", "Killed_inside_a_pause"),
        ("7 switch", "the instance's process is killed inside the switch pause, between rename and fsync of the folder",
            "SIGKILL while the rename waits for a frozen file system", "the next start has the state after",
            "tests/Cloning.Tests/Kills/KillTests.cs", "Killed_inside_a_pause"),
        ("7 switch", "a disk of the host stalls: the clone pause and the switch pause wait for what it is at", "a simulated disk that does not answer",
            "after five seconds the guest runs on, exit code 5", "tests/Cloning.Tests/PauseTests.cs",
            "A_pause_that_waits_for_a_stalled_disk_is_taken_back"),
        ("8 after", "the commit cannot be made durable", "a simulated fsync of the folder that fails",
            "switched, exit code 0; nothing is deleted and the guest's FLUSHes fail until it can",
            "tests/Cloning.Tests/Faults/CommitFaultTests.cs",
            "A_commit_that_is_not_durable_deletes_nothing_and_no_flush_completes_until_it_is"),
        ("8 after", "an aborted reboot's guest writes to all of its memory all the time", "a guest that does so",
            "memory is one shared file again, in bounded time", "tests/Cloning.Tests/Faults/ReshareTests.cs",
            "A_guest_that_writes_all_the_time_gets_back_to_one_shared_file_and_no_page_is_stale"),
    ];

    [Fact]
    public void The_page_lists_what_the_tests_do()
    {
        string page = Repository.PathOf("docs", "failures.md");
        string text = File.ReadAllText(page);
        int from = text.IndexOf(Begin, StringComparison.Ordinal) + Begin.Length, to = text.IndexOf(End, StringComparison.Ordinal);
        Assert.True(from >= Begin.Length && to >= from, $"{page} has lost the marks around its table");
        if (Environment.GetEnvironmentVariable("BGKVM_WRITE_DOCS") == "1") File.WriteAllText(page, text[..from] + Table() + text[to..]);
        else Assert.Equal(Table(), text[from..to]);
    }

    [Fact]
    public void Every_row_has_its_test() =>
        Assert.All(s_others, row => Assert.Contains(
            $" {row.Test}(", File.ReadAllText(Repository.PathOf(row.File)), StringComparison.Ordinal));

    private static string Table()
    {
        StringBuilder table = new("| step | failure | how the test makes it | outcome | test |\n|---|---|---|---|---|\n");
        IEnumerable<(string Step, string Row)> rows =
        [
            .. FaultList.All.Select(fault => (fault.Step, $"| {fault.Failure} | {fault.Made} | {Outcome(fault)} | `{fault.Id}` |")),
            .. s_others.Select(row => (row.Step, $"| {row.Failure} | {row.Made} | {row.Outcome} | [`{row.Test}`](../{row.File}) |")),
        ];
        foreach ((string step, string row) in rows.OrderBy(one => one.Step, StringComparer.Ordinal)) table.Append($"| {step} {row}\n");
        return table.ToString();
    }

    private static string Outcome(Fault fault)
    {
        string outcome = fault.Outcome switch
        {
            FaultOutcome.Aborted => "runs on, exit code 5",
            FaultOutcome.Refused => "runs on, nothing was begun, exit code 4",
            FaultOutcome.GuestReboots => "the guest boots again, exit code 5",
            FaultOutcome.Stopped => "off, as asked for; exit code 5",
            FaultOutcome.Switched => "switched, exit code 0",
            FaultOutcome.SwitchedAndStopped => "switched, then off, as asked for; exit code 0",
            _ => throw new ArgumentOutOfRangeException(nameof(fault)),
        };
        return fault.Reason.Length == 0 ? outcome : $"{outcome}: “… {fault.Reason} …”";
    }
}
