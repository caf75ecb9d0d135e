using System.Text;
using Bgkvm.Commands;
using Bgkvm.Consoles;
using Bgkvm.Hosting;
using Cloning.Instances;

namespace Bgkvm.Tests;

public sealed class PartsTests
{
    [Theory]
    [InlineData("16M", 16), InlineData("512M", 512), InlineData("6G", 6144), InlineData("1g", 1024), InlineData("16777216M", 16777216)]
    public void Memory_sizes_are_read(string text, int mib)
    {
        Assert.True(MemorySize.TryParse(text, out int parsed));
        Assert.Equal(mib, parsed);
    }

    [Theory]
    [InlineData(""), InlineData("M"), InlineData("15M"), InlineData("512"), InlineData(" 512M"), InlineData("+1G"), InlineData("1T")]
    [InlineData("16777217M"), InlineData("2147483648G"), InlineData("0x10M"), InlineData("1,024M")]
    public void What_is_no_memory_size_is_refused(string text) => Assert.False(MemorySize.TryParse(text, out _));

    [Theory]
    [InlineData("/a/b.img", "/a/b.img", "raw", false)]
    [InlineData("/a/b.img,format=raw,ro", "/a/b.img", "raw", true)]
    [InlineData("/a/b.img,ro,format=qcow2", "/a/b.img", "qcow2", true)]
    [InlineData("/a,,b.img,ro", "/a,b.img", "raw", true)]
    public void Disks_are_read(string text, string path, string format, bool readOnly) =>
        Assert.Equal(new DiskConfig(path, format, readOnly), DiskArgument.Parse(text, persistent: false, out _));

    [Theory]
    [InlineData("/a/b.img", "/a/b.img", false)]
    [InlineData("/a,,b.img,cache=none", "/a,b.img", true)]
    [InlineData("/a/b.img,format=raw,cache=writeback", "/a/b.img", false)]
    public void Persistent_disks_are_read(string text, string path, bool direct) =>
        Assert.Equal(new DiskConfig(path, "raw", ReadOnly: false, Persistent: true, direct), DiskArgument.Parse(text, persistent: true, out _));

    [Theory]
    [InlineData("MemTotal:  2097152 kB\nMemAvailable:  1048576 kB\n", 1024, null)]
    [InlineData("MemTotal:  2097152 kB\nMemAvailable:  1048576 kB\n", 1025, "1025M of guest memory is more than the 1024M the host has available")]
    [InlineData("MemTotal:  2097152 kB\nMemAvailable:  1048576 kB\n", 3072, "3G of guest memory is more than the host's 2048M")]
    public void Memory_must_fit_the_host(string meminfo, int wantedMiB, string? complaint)
    {
        InstanceException? refusal = Record.Exception(() => Preflight.CheckMemory(wantedMiB, meminfo)) as InstanceException;
        Assert.Equal(complaint is null, refusal is null);
        if (complaint is null) return;
        Assert.StartsWith(complaint, refusal!.Message, StringComparison.Ordinal);
        Assert.Equal(4, refusal.ExitCode);
    }

    [Fact]
    public void Options_given_replace_what_is_stored()
    {
        DiskConfig disk = new("/d", "raw", false), other = new("/e", "raw", false);
        DiskConfig p = new("/p", "raw", false, Persistent: true), q = p with { Path = "/q" }, r = p with { Path = "/r" };
        InstanceConfig stored = new("demo", [p, disk, other], "/k", "/i", "quiet", 512, 1, "login:");
        StartOptions nothing = new(null, null, null, null, null, null, null, null, null);

        Assert.Equal(stored, nothing.Over(stored));
        Assert.Equal(
            stored with { Kernel = "/k2", Initrd = null, MemoryMiB = 1024, Cpus = 2, ReadyPattern = "up" },
            new StartOptions(null, "/k2", null, "", null, 1024, 2, "up", null).Over(stored));
        Assert.Equal([p, disk, other], (nothing with { Disks = [disk, other] }).Over(stored).Disks);
        Assert.Equal([q, disk, other, r], (nothing with { Disks = [q, r] }).Over(stored).Disks);
        Assert.Equal([disk, q, other], (nothing with { Disks = [disk, q, other] }).Over(stored).Disks);
        InstanceException refusal = Assert.Throws<InstanceException>(
            () => (nothing with { Disks = [disk with { ReadOnly = true }, other] }).Over(stored));
        Assert.Equal(1, refusal.ExitCode);
        Assert.EndsWith("bgkvm delete demo", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Configuration_survives_its_file()
    {
        using TempDirectory temp = new();
        InstanceDirectory directory = new(temp.Path);
        InstanceConfig config = new(
            "demo", [new("/d", "raw", false), new("/p", "raw", false, Persistent: true, Direct: true), new("/e", "qcow2", true)],
            "/k", null, "a=\"b c\" ü", 6144, 2, "\\$ $");
        ConfigFile.Write(directory, config);

        InstanceConfig read = ConfigFile.Read(directory);

        Assert.Equal(config.Disks, read.Disks);
        Assert.Equal(config with { Disks = read.Disks }, read);
        Assert.Equal([directory.Config], Directory.GetFiles(temp.Path));
    }

    [Fact]
    public void Configuration_of_version_0_1_is_read_with_its_system_disks_first()
    {
        using TempDirectory temp = new();
        InstanceDirectory directory = new(temp.Path);
        File.WriteAllText(directory.Config, """
            { "name": "demo", "systemDisks": [ { "path": "/d", "format": "qcow2", "readOnly": true } ], "persistentDisks": [ "/p", "/q" ],
              "kernel": "/k", "commandLine": "quiet", "memoryMiB": 512, "cpus": 1, "readyPattern": "login:" }
            """);
        DiskConfig p = new("/p", "raw", false, Persistent: true);
        Assert.Equal([new("/d", "qcow2", true), p, p with { Path = "/q" }], ConfigFile.Read(directory).Disks);
    }

    [Theory]
    [InlineData(""), InlineData("{"), InlineData("null"), InlineData("{\"frob\":1}"), InlineData("{\"name\":7}")]
    public void Damaged_configuration_is_said_to_be(string text)
    {
        using TempDirectory temp = new();
        InstanceDirectory directory = new(temp.Path);
        File.WriteAllText(directory.Config, text);
        InstanceException damage = Assert.Throws<InstanceException>(() => ConfigFile.Read(directory));
        Assert.StartsWith(directory.Config, damage.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("abc", "abc|")]
    [InlineData("ab\u001d", "ab|?")]
    [InlineData("ab\u001dbcd", "ab|BREAK|cd|")]
    [InlineData("\u001db\u001db", "|BREAK||BREAK|")]
    [InlineData("ab\u001dx", "ab|DETACH")]
    [InlineData("ab\u001d\u001db", "ab|DETACH")]
    public void Escape_key_is_found(string typed, string expected)
    {
        // Whole, and byte by byte: the same result.
        Assert.Equal(expected, Scan([typed]));
        Assert.Equal(
            expected.Replace("|", "", StringComparison.Ordinal),
            Scan([.. typed.Select(c => c.ToString())]).Replace("|", "", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Output_buffer_keeps_the_newest()
    {
        OutputBuffer buffer = new(8);
        buffer.Append("abcdef"u8);
        buffer.Append("ghij"u8);
        byte[] taken = new byte[5];
        Assert.Equal(5, await buffer.ReadAsync(taken));
        Assert.Equal("cdefg"u8, taken);
        buffer.Append("0123456789"u8);
        byte[] rest = new byte[16];
        Assert.Equal(8, await buffer.ReadAsync(rest));
        Assert.Equal("23456789"u8, rest.AsSpan(0, 8));
        Task<int> waiting = buffer.ReadAsync(rest).AsTask();
        Assert.False(waiting.IsCompleted);
        buffer.Append("x"u8);
        Assert.Equal(1, await waiting);
        buffer.Append("y"u8);
        buffer.Complete();
        Assert.Equal(1, await buffer.ReadAsync(rest));
        Assert.Equal(0, await buffer.ReadAsync(rest));
    }

    [Fact]
    public void Log_tail_goes_on_where_it_ended_and_notices_a_new_file()
    {
        using TempDirectory temp = new();
        string path = Path.Combine(temp.Path, "x.log");
        LogTail tail = new(path);
        string Read()
        {
            using MemoryStream output = new();
            tail.CopyTo(output);
            return Encoding.UTF8.GetString(output.ToArray());
        }

        Assert.Equal("", Read());
        File.WriteAllText(path, "one\n");
        Assert.Equal("one\n", Read());
        File.AppendAllText(path, "two\n");
        Assert.Equal("two\n", Read());
        File.WriteAllText(path, "new\n");
        Assert.Equal("new\n", Read());
    }

    private static string Scan(string[] reads)
    {
        EscapeKey escape = new();
        StringBuilder seen = new();
        foreach (string read in reads)
        {
            ReadOnlySpan<byte> typed = Encoding.Latin1.GetBytes(read);
            while (typed.Length > 0)
            {
                EscapeAction action = escape.Scan(typed, out int forGuest, out int taken);
                seen.Append(Encoding.Latin1.GetString(typed[..forGuest]));
                if (action == EscapeAction.Detach) return seen.Append("DETACH").ToString();
                if (action == EscapeAction.Break) seen.Append("BREAK");
                seen.Append('|');
                typed = typed[taken..];
            }
        }

        return escape.Pending ? seen.Append('?').ToString() : seen.ToString();
    }
}
