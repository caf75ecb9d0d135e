using System.Text.Json;
using System.Text.Json.Nodes;
using Bgkvm.Config;
using Bgkvm.Hosting;
using Bgkvm.Tests.Fakes;
using Cloning.Instances;
using Json.Schema;

namespace Bgkvm.Tests;

/// <summary>Machine files: what they may say, told in the same way by bgkvm and by the published schema.</summary>
public sealed class MachineFileTests
{
    private const string Disk = "\"disks\": [ { \"path\": \"d\" } ]";
    private static readonly JsonSchema s_schema = JsonSchema.FromText(new StreamReader(MachineFile.OpenSchema()).ReadToEnd());

    public static TheoryData<string> Good { get; } =
    [
        $$"""{ {{Disk}}, "kernel": "k" }""",
        $$"""{ {{Disk}}, "firmware": "auto", "memory": "1G", "cpus": 32, "ready": "up" }""",
        $$"""{ "$schema": "machine.schema.json", {{Disk}}, "kernel": "k", "initrd": "i", "append": "quiet", "memory": "16m", "readyCommand": "true" }""",
        """{ "disks": [ { "path": "a", "persistent": true, "cache": "none" }, { "path": "b", "format": "qcow2", "readOnly": true } ], "kernel": "k" }""",
        """{ "disks": [ { "path": "a", "persistent": true, "format": "raw", "readOnly": false, "cache": "writeback" }, { "path": "b", "persistent": false } ], "kernel": "k" }""",
    ];

    // What is wrong, and the complaint about it: exact, after the file's name.
    public static TheoryData<string, string> Bad { get; } = new()
    {
        { "[]", "$: [] is not an object; write { ... }" },
        { "{}", "$: the key disks is missing; write \"disks\": [ { \"path\": \"...\" } ]" },
        { $$"""{ {{Disk}} }""", "$: write one of the keys kernel and firmware" },
        { $$"""{ {{Disk}}, "kernel": "k", "memroy": "1G" }""",
            "$.memroy: there is no such key; the keys here are $schema, disks, kernel, initrd, append, firmware, memory, cpus, ready, readyCommand" },
        { $$"""{ {{Disk}}, "kernel": "k", "firmware": "auto" }""", "$.firmware: firmware does not go with kernel; leave one of them out" },
        { $$"""{ {{Disk}}, "firmware": "auto", "initrd": "i" }""", "$.initrd: initrd does not go with firmware; firmware reads the guest's own" },
        { $$"""{ {{Disk}}, "firmware": "auto", "append": "a" }""", "$.append: append does not go with firmware; firmware reads the guest's own" },
        { $$"""{ {{Disk}}, "kernel": "k", "ready": "a", "readyCommand": "b" }""", "$.readyCommand: readyCommand does not go with ready; leave one of them out" },
        { $$"""{ {{Disk}}, "kernel": 7 }""", "$.kernel: 7 is not a string; write the path of a file" },
        { $$"""{ {{Disk}}, "kernel": "" }""", "$.kernel: \"\" is not allowed; write the path of a file" },
        { $$"""{ {{Disk}}, "kernel": "k", "memory": 1024 }""", "$.memory: 1024 is not a string; write \"512M\" or \"6G\"" },
        { $$"""{ {{Disk}}, "kernel": "k", "memory": "1024" }""", "$.memory: \"1024\" is not a memory size; write \"512M\" or \"6G\", at least \"16M\"" },
        { $$"""{ {{Disk}}, "kernel": "k", "cpus": 0 }""", "$.cpus: 0 is not a whole number from 1 to 32" },
        { $$"""{ {{Disk}}, "kernel": "k", "cpus": 1.5 }""", "$.cpus: 1.5 is not a whole number from 1 to 32" },
        { $$"""{ {{Disk}}, "kernel": "k", "cpus": "2" }""", "$.cpus: \"2\" is not a whole number from 1 to 32" },
        { $$"""{ {{Disk}}, "kernel": "k", "ready": null }""", "$.ready: null is not a string; write a regular expression" },
        { """{ "disks": {}, "kernel": "k" }""", "$.disks: {} is not an array; write [ ... ]" },
        { """{ "disks": [], "kernel": "k" }""", "$.disks: it has 0 elements; write 1 to 8" },
        { """{ "disks": [ "system.img" ], "kernel": "k" }""", "$.disks[0]: \"system.img\" is not an object; write { ... }" },
        { """{ "disks": [ { "format": "raw" } ], "kernel": "k" }""", "$.disks[0]: the key path is missing; write \"path\": \"...\"" },
        { """{ "disks": [ { "path": "a" }, { "path": "b", "format": "vmdk" } ], "kernel": "k" }""",
            "$.disks[1].format: \"vmdk\" is not allowed; write \"raw\" or \"qcow2\"" },
        { """{ "disks": [ { "path": "a", "ro": true } ], "kernel": "k" }""",
            "$.disks[0].ro: there is no such key; the keys here are path, format, readOnly, persistent, cache" },
        { """{ "disks": [ { "path": "a", "readOnly": "yes" } ], "kernel": "k" }""", "$.disks[0].readOnly: \"yes\" is neither true nor false" },
        { """{ "disks": [ { "path": "a", "cache": "none" } ], "kernel": "k" }""",
            "$.disks[0].cache: only a persistent disk has it; leave the key out" },
        { """{ "disks": [ { "path": "a" }, { "path": "b", "persistent": true, "format": "qcow2" } ], "kernel": "k" }""",
            "$.disks[1].format: a persistent disk is raw; write \"raw\", or leave the key out" },
        { """{ "disks": [ { "path": "a" }, { "path": "b", "persistent": true, "readOnly": true } ], "kernel": "k" }""",
            "$.disks[1].readOnly: a persistent disk is writable; leave the key out" },
        { """{ "disks": [ { "path": "b", "persistent": true } ], "kernel": "k" }""",
            "$.disks: all of them are persistent; write one at least without \"persistent\": true, for the system" },
    };

    [Theory]
    [MemberData(nameof(Good))]
    public void A_good_one_is_good_to_the_schema_too(string json)
    {
        Assert.True(s_schema.Evaluate(JsonNode.Parse(json)).IsValid);
        Assert.True(Read(json).IsComplete);
    }

    [Theory]
    [MemberData(nameof(Bad))]
    public void A_bad_one_is_bad_to_the_schema_too_and_bgkvm_says_where_and_what_would_be_right(string json, string complaint)
    {
        Assert.False(s_schema.Evaluate(JsonNode.Parse(json)).IsValid);
        using TempDirectory temp = new();
        string file = Path.Combine(temp.Path, "web.json");
        File.WriteAllText(file, json);
        InstanceException refusal = Assert.Throws<InstanceException>(() => MachineFile.Read(file));
        Assert.Equal((2, $"{file}: {complaint}"), (refusal.ExitCode, refusal.Message));
    }

    // What a schema cannot tell.
    [Theory]
    [InlineData("{ \"disks\": [ { \"path\": \"d\" } ], \"kernel\": \"a\", \"kernel\": \"b\" }", "$.kernel: the key is there twice")]
    [InlineData("{ \"disks\": [ { \"path\": \"d\" } ], \"kernel\": \"a\", \"memory\": \"8M\" }",
        "$.memory: \"8M\" is not a memory size; write \"512M\" or \"6G\", at least \"16M\"")]
    [InlineData("{\n  \"kernel\": \"k\",\n  cpus: 2\n}", "line 3, column 3: this is not JSON: ")]
    [InlineData("", "line 1, column 1: this is not JSON: ")]
    public void What_a_schema_does_not_see(string json, string complaint) =>
        Assert.Contains("web.json: " + complaint, Assert.Throws<InstanceException>(() => Read(json)).Message, StringComparison.Ordinal);

    [Fact]
    public void It_says_what_the_command_line_would_say_with_paths_from_where_it_is()
    {
        using TempDirectory temp = new();
        string file = Path.Combine(temp.Path, "web.json");
        File.WriteAllText(file, """
            { "disks": [ { "path": "s.qcow2", "format": "qcow2" }, { "path": "/dev/vg/home", "persistent": true, "cache": "none" } ],
              "kernel": "boot/vmlinuz", "initrd": "../initrd", "append": "root=/dev/vda", "memory": "2G", "cpus": 4, "readyCommand": "test -e x" }
            """);
        DiskConfig[] disks =
            [new(Path.Combine(temp.Path, "s.qcow2"), "qcow2", false), new("/dev/vg/home", "raw", false, Persistent: true, Direct: true)];
        InstanceConfig config = MachineFile.Read(file).For("web", stored: null);
        Assert.Equal(disks, config.Disks);
        Assert.Equal(
            new InstanceConfig("web", config.Disks, Path.Combine(temp.Path, "boot/vmlinuz"), Path.GetFullPath("../initrd", temp.Path), "root=/dev/vda",
                2048, 4, "login:", null, "test -e x"),
            config);
    }

    [Fact]
    public void The_command_line_goes_over_it_and_what_is_stored_does_not_count()
    {
        StartOptions file = Read("""{ "disks": [ { "path": "/d" } ], "kernel": "/k", "initrd": "/i", "append": "quiet", "ready": "up" }""");
        StartOptions nothing = new(null, null, null, null, null, null, null, null, null);
        InstanceConfig stored = file.For("web", null) with { MemoryMiB = 4096, Cpus = 8, ReadyCommand = "x" };

        Assert.Equal(file.For("web", null) with { Disks = stored.Disks }, file.For("web", stored) with { Disks = stored.Disks });
        Assert.Equal((512, 1), (file.For("web", stored).MemoryMiB, file.For("web", stored).Cpus));
        Assert.Equal("/k2", file.With(nothing with { Kernel = "/k2" }).For("web", null).Kernel);
        Assert.Equal("/i", file.With(nothing with { Kernel = "/k2" }).For("web", null).Initrd);
        InstanceConfig firmware = file.With(nothing with { Firmware = "/f" }).For("web", null);
        Assert.Equal(("/f", null, null, ""), (firmware.Firmware, firmware.Kernel, firmware.Initrd, firmware.CommandLine));
        Assert.Equal("true", file.With(nothing with { ReadyCommand = "true" }).For("web", null).ReadyCommand);
        Assert.Equal("/e", Assert.Single(file.With(nothing with { Disks = [new("/e", "raw", false)] }).For("web", null).Disks).Path);
        Assert.Contains(
            "web exists with other system disks (/e)",
            Assert.Throws<InstanceException>(() => file.For("web", stored with { Disks = [new("/e", "raw", false)] })).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void The_schema_has_every_option_of_start_that_is_about_the_machine()
    {
        string[] others = ["--config", "--detach", "--foreground", "--persistent", "--help"];
        IEnumerable<string> options = Cli.CreateRoot(FakeInstance.Start).Subcommands.Single(command => command.Name == "start").Options
            .Select(option => option.Name).Except(others);
        JsonObject properties = JsonNode.Parse(JsonSerializer.Serialize(s_schema))!["properties"]!.AsObject();
        IEnumerable<string> keys = properties.Select(property => property.Key).Where(key => key != "$schema")
            .Select(key => key == "disks" ? "--disk" : key == "readyCommand" ? "--ready-command" : "--" + key);
        Assert.Equal(options.Order(), keys.Order());
        Assert.All(properties.Where(property => property.Key != "$schema"), property =>
            Assert.Contains("(--", property.Value!["description"]!.GetValue<string>(), StringComparison.Ordinal));
    }

    [Fact]
    public async Task It_is_what_start_runs_and_the_schema_is_what_schema_prints()
    {
        await using Sandbox sandbox = new();
        string file = Path.Combine(sandbox.Home, "web.json");
        await File.WriteAllTextAsync(file, """{ "disks": [ { "path": "system.img" } ], "kernel": "vmlinuz", "memory": "64M" }""", TestContext.Current.CancellationToken);
        Outcome start = await sandbox.Fake("start", "demo", "--config", file, "--cpus", "2", "--detach");
        Assert.Equal((0, ""), (start.ExitCode, start.Error));
        JsonNode status = await sandbox.Status();
        Assert.Equal((64, 2), ((int)status["memoryMiB"]!, (int)status["cpus"]!));
        Assert.Equal(0, (await sandbox.Fake("stop", "demo")).ExitCode);

        Outcome missing = await sandbox.Fake("start", "demo", "--config", file + ".none");
        Assert.Equal(1, missing.ExitCode);
        Assert.Contains(file + ".none", missing.ErrorLine, StringComparison.Ordinal);
        Assert.Equal(await new StreamReader(MachineFile.OpenSchema()).ReadToEndAsync(TestContext.Current.CancellationToken), (await sandbox.Real("schema")).Output);
    }

    private static StartOptions Read(string json)
    {
        using TempDirectory temp = new();
        string file = Path.Combine(temp.Path, "web.json");
        File.WriteAllText(file, json);
        return MachineFile.Read(file);
    }
}
