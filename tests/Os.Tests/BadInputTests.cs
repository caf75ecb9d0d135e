using Os.Tests.Driver;
using Xunit;

namespace Os.Tests;

/// <summary>
/// What is wrong with files, disks and the host, and what a user reads about it: one line, an exit code, and nothing is left
/// behind. Mistakes on the command line itself are in Bgkvm.Tests; these need a host on which the instance could have started.
/// </summary>
public sealed class BadInputTests : Scenario
{
    private const string Start = "bgkvm start other --detach";
    private const string One = "bgkvm start one --detach --disk $system --kernel $kernel";
    private const string OneWithData = "cp --sparse=always $data data; " + One + " --persistent data";

    /// <summary>Exit code; what the line contains; shell commands that make the situation; the command that is refused.</summary>
    public static TheoryData<int, string, string, string> Cases => new()
    {
        { 1, "/junk is ", "head -c 1M /dev/urandom >junk", $"{Start} --disk $system --kernel junk" },
        { 1, "/empty is empty", ": >empty", $"{Start} --disk $system --kernel empty" },
        { 1, "/cut ", "head -c 100K $kernel >cut", $"{Start} --disk $system --kernel cut" },
        { 1, "/system.img: ", ":", $"{Start} --disk $system,format=qcow2 --kernel $kernel" },
        {
            1, "/damaged: ",
            "qemu-img create -q -f qcow2 damaged 64M; printf '\\377' | dd of=damaged bs=1 seek=40 conv=notrunc status=none",
            $"{Start} --disk damaged,format=qcow2 --kernel $kernel"
        },
        {
            1, "/base.qcow2: ",
            "qemu-img create -q -f qcow2 base.qcow2 64M; qemu-img create -q -f qcow2 -F qcow2 -b base.qcow2 top; rm base.qcow2",
            $"{Start} --disk top,format=qcow2 --kernel $kernel"
        },
        { 1, "/odd: ", "printf x >odd", $"{Start} --disk $system --persistent odd --kernel $kernel" },
        { 1, "/data: in use", OneWithData, $"{Start} --disk $system --persistent data --kernel $kernel" },
        { 1, "/data cannot be under a system disk of other: ", OneWithData, $"{Start} --disk data --kernel $kernel" },
        { 1, "one is running already", One, "bgkvm start one --detach" },
        { 1, "one is not running", $"{One}; bgkvm stop one --force", "bgkvm reboot one --background" },
        { 4, "no space for overlays", $"mount -t tmpfs -o size=32M tmpfs $BGKVM_HOME; {One}", "bgkvm reboot one --background" },
        { 1, "No space left on device", "mount -t tmpfs -o size=16K tmpfs $BGKVM_HOME", $"{Start} --disk $system --kernel $kernel" },
        { 4, "/dev/kvm: does not exist", "mount -t tmpfs tmpfs /dev; mknod /dev/null c 1 3", $"{Start} --disk $system --kernel $kernel" },
        {
            4, "/dev/kvm: this user may not open it", "chmod 777 .. . $BGKVM_HOME; chmod 600 /dev/kvm",
            $"setpriv --reuid=65534 --regid=65534 --clear-groups {Start} --disk $system --kernel $kernel"
        },
    };

    [Theory]
    [MemberData(nameof(Cases))]
    public void Bad_input_gets_one_clear_line_and_leaves_nothing_behind(int exitCode, string message, string situation, string refused)
    {
        CommandResult result = Vm.Shell(situation, refused);
        Say($"{result}");
        string complaint = Assert.Single(result.Errors.Split('\n', StringSplitOptions.RemoveEmptyEntries));
        Assert.StartsWith("bgkvm: ", complaint, StringComparison.Ordinal);
        Assert.Contains(message, complaint, StringComparison.Ordinal);
        Assert.Equal(exitCode, result.ExitCode);
    }
}
