using System.Diagnostics;
using System.Text.Json.Nodes;
using Cloning.Disks;
using Cloning.Instances;
using VirtioBlk.Store;

namespace Bgkvm.Tests;

/// <summary><c>bgkvm disk</c>, with qemu-img as the judge.</summary>
public sealed class DiskCommandTests
{
    public static TheoryData<int, string, string[]> BadInput { get; } = new()
    {
        { 2, "say what to do (see bgkvm disk --help)", ["disk"] },
        { 2, "there is no command disk frob (see bgkvm disk --help)", ["disk", "frob"] },
        { 2, "(see bgkvm disk create --help)", ["disk", "create"] },
        { 2, "a new disk needs --size", ["disk", "create", "{home}/new"] },
        { 2, "--size: '10X' is not a size; write 64K, 512M, 10G or bytes", ["disk", "create", "{home}/new", "--size", "10X"] },
        { 2, "--size: '0' is not a size", ["disk", "create", "{home}/new", "--size", "0"] },
        { 2, "--size: '9999999P' is not a size", ["disk", "create", "{home}/new", "--size", "9999999P"] },
        { 2, "--size must be a multiple of 512 bytes", ["disk", "create", "{home}/new", "--size", "1000"] },
        { 2, "a raw disk has neither --backing nor --cluster", ["disk", "create", "{home}/new", "--size", "1M", "--cluster", "64K"] },
        { 2, "--cluster must be a power of two from 4K to 2M", ["disk", "create", "{home}/new,format=qcow2", "--size", "1M", "--cluster", "3K"] },
        { 2, "'format=vmdk' is no disk option", ["disk", "create", "{home}/new,format=vmdk", "--size", "1M"] },
        { 2, "of an image only the format can be told", ["disk", "info", "{disk},ro"] },
        { 1, "{disk}: cannot create it: File exists", ["disk", "create", "{disk}", "--size", "1M"] },
        { 1, "{home}/none: cannot open it: No such file or directory", ["disk", "create", "{home}/new,format=qcow2", "--backing", "{home}/none"] },
        { 1, "{home}/none: cannot open it: No such file or directory", ["disk", "info", "{home}/none"] },
        { 1, "{home}: is a directory", ["disk", "info", "{home}"] },
        { 1, "{disk}: not a qcow2 image", ["disk", "info", "{disk},format=qcow2"] },
        { 2, "a raw disk has nothing to be checked; of a qcow2 image say format=qcow2", ["disk", "check", "{disk}"] },
        { 1, "{disk}: not a qcow2 image", ["disk", "check", "{disk},format=qcow2"] },
        { 2, "name either an image and the file to be made, or --instance and the file", ["disk", "flatten", "{disk}"] },
        { 2, "name either an image and the file to be made, or --instance and the file", ["disk", "flatten", "{disk}", "x", "--instance", "demo"] },
        { 2, "--index goes with --instance", ["disk", "flatten", "{disk}", "{home}/x", "--index", "0"] },
        { 2, "--instance: '../x' is not a name", ["disk", "flatten", "--instance", "../x", "{home}/x"] },
        { 3, "there is no instance demo in {home}", ["disk", "flatten", "--instance", "demo", "{home}/x"] },
        { 1, "{disk}: cannot create it: File exists", ["disk", "flatten", "{disk}", "{disk}"] },
    };

    [Theory]
    [MemberData(nameof(BadInput))]
    public async Task Bad_input_gets_one_line_and_its_exit_code(int exitCode, string message, string[] args)
    {
        await using Sandbox sandbox = new();
        string Fill(string text) => text
            .Replace("{home}", sandbox.Home, StringComparison.Ordinal).Replace("{disk}", sandbox.Disk, StringComparison.Ordinal);

        Outcome outcome = await sandbox.Real([.. args.Select(Fill)]);

        Assert.Contains(Fill(message), outcome.ErrorLine, StringComparison.Ordinal);
        Assert.Equal(exitCode, outcome.ExitCode);
        Assert.Empty(outcome.Output);
        Assert.Equal(2, Directory.GetFileSystemEntries(sandbox.Home).Length);
    }

    [Fact]
    public async Task What_is_made_is_what_was_asked_for()
    {
        await using Sandbox sandbox = new();
        string raw = Path.Combine(sandbox.Home, "a,b.img"), image = Path.Combine(sandbox.Home, "base.qcow2"), top = Path.Combine(sandbox.Home, "top");
        await Done(sandbox, "disk", "create", raw.Replace(",", ",,", StringComparison.Ordinal), "--size", "3M");
        await Done(sandbox, "disk", "create", image + ",format=qcow2", "--size", "1G", "--cluster", "4K");
        await Done(sandbox, "disk", "create", top + ",format=qcow2", "--backing", image + ",format=qcow2");
        Assert.Equal(3 << 20, new FileInfo(raw).Length);

        JsonNode theirs = JsonNode.Parse(Qemu("info", "--output=json", image))!;
        Assert.Equal((1L << 30, 4096), ((long)theirs["virtual-size"]!, (int)theirs["cluster-size"]!));
        theirs = JsonNode.Parse(Qemu("info", "--output=json", top))!;
        Assert.Equal(1L << 30, (long)theirs["virtual-size"]!);
        Assert.Equal((image, "qcow2"), ((string)theirs["backing-filename"]!, (string)theirs["backing-filename-format"]!));

        Process.Start("qemu-io", ["-f", "qcow2", "-c", "write 0 100k", "-c", "flush", top]).WaitForExit();
        JsonNode ours = JsonNode.Parse(await Done(sandbox, "disk", "info", top + ",format=qcow2", "--json"))!;
        Assert.Equal(1L << 30, (long)ours["sizeBytes"]!);
        JsonArray chain = ours["chain"]!.AsArray();
        Assert.Equal([top, image], chain.Select(layer => (string)layer!["path"]!));
        Assert.Equal([131072, 0], chain.Select(layer => (long)layer!["allocatedBytes"]!));
        Assert.Equal([65536, 4096], chain.Select(layer => (int)layer!["clusterBytes"]!));
        Assert.Equal((image, "qcow2"), ((string)chain[0]!["backing"]!, (string)chain[0]!["backingFormat"]!));
        Assert.Contains("128 KiB", await Done(sandbox, "disk", "info", top + ",format=qcow2"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Checks_say_clean_leaks_or_corrupt()
    {
        await using Sandbox sandbox = new();
        string image = Path.Combine(sandbox.Home, "image"), named = image + ",format=qcow2";
        await Done(sandbox, "disk", "create", named, "--size", "64M");
        Process.Start("qemu-io", ["-f", "qcow2", "-c", "write 0 1M", image]).WaitForExit();
        Assert.Equal("No errors were found.\n", await Done(sandbox, "disk", "check", named));
        JsonNode clean = JsonNode.Parse(await Done(sandbox, "disk", "check", named, "--json"))!;
        Assert.Equal(("clean", 16, 1024), ((string)clean["result"]!, (int)clean["allocatedClusters"]!, (int)clean["totalClusters"]!));

        byte[] bytes = File.ReadAllBytes(image);
        long l1 = System.Buffers.Binary.BinaryPrimitives.ReadInt64BigEndian(bytes.AsSpan(40));
        int l2 = (int)(System.Buffers.Binary.BinaryPrimitives.ReadInt64BigEndian(bytes.AsSpan((int)l1)) & 0xFFFFFFFFFFFE00);
        bytes.AsSpan(l2, 8).Clear();
        File.WriteAllBytes(image, bytes);
        Assert.Equal(3, Judge(image));
        Assert.Contains("1 leaked clusters", await Done(sandbox, "disk", "check", named), StringComparison.Ordinal);

        bytes.AsSpan(l2 + 8, 8).CopyTo(bytes.AsSpan(l2));
        File.WriteAllBytes(image, bytes);
        Assert.Equal(2, Judge(image));
        Outcome corrupt = await sandbox.Real("disk", "check", named, "--json");
        Assert.Equal(1, corrupt.ExitCode);
        Assert.Contains($"{image} is corrupt: ", corrupt.ErrorLine, StringComparison.Ordinal);
        Assert.Equal("corrupt", (string)JsonNode.Parse(corrupt.Output)!["result"]!);
    }

    [Fact]
    public async Task A_disk_in_use_is_refused()
    {
        await using Sandbox sandbox = new();
        string image = Path.Combine(sandbox.Home, "image"), named = image + ",format=qcow2";
        await Done(sandbox, "disk", "create", named, "--size", "64M");
        using Qcow2Image running = Qcow2Image.Open(image, readOnly: false);
        foreach (string[] args in (string[][])[["info", named], ["check", named], ["flatten", named, image + ".flat"]])
        {
            Outcome refused = await sandbox.Real(["disk", .. args]);
            Assert.Equal($"{image}: in use: something else writes to it", refused.ErrorLine);
            Assert.Equal(1, refused.ExitCode);
        }
    }

    [Fact]
    public async Task A_stopped_instance_becomes_one_file()
    {
        await using Sandbox sandbox = new();
        InstanceDirectory directory = new(Path.Combine(sandbox.Home, "demo"));
        Directory.CreateDirectory(directory.Layers);
        File.WriteAllText(directory.Config, "{}");
        Outcome never = await sandbox.Real("disk", "flatten", "--instance", "demo", sandbox.Home + "/out");
        Assert.StartsWith("demo has never run", never.ErrorLine);

        File.WriteAllBytes(sandbox.Disk, new byte[1 << 20]);
        Layer[] chain = [new(sandbox.Disk, "raw"), new("top.qcow2", "qcow2")];
        SystemDisk.CreateOverlay(directory.Layers, chain[..1], chain[1], 1 << 20);
        Process.Start("qemu-io", ["-f", "qcow2", "-c", "write -P 7 128k 64k", Path.Combine(directory.Layers, "top.qcow2")]).WaitForExit();
        new ManifestFile(directory).Replace(new DiskManifest(1, 2, [chain]));
        string said = await Done(sandbox, "disk", "flatten", "--instance", "demo", sandbox.Home + "/out");
        Assert.Equal($"{sandbox.Home}/out: 1 MiB disk, 64 KiB of data\n", said);
        byte[] flat = File.ReadAllBytes(sandbox.Home + "/out");
        Assert.Equal(1 << 20, flat.Length);
        Assert.Equal(64 << 10, flat.Count(b => b == 7));
        Assert.Equal(2, (await sandbox.Real("disk", "flatten", "--instance", "demo", "--index", "1", sandbox.Home + "/x")).ExitCode);

        using (Hosting.InstanceLock running = Hosting.InstanceLock.TryAcquire(directory)!)
            Assert.Equal(
                "demo is running; stop it first: bgkvm stop demo",
                (await sandbox.Real("disk", "flatten", "--instance", "demo", sandbox.Home + "/x")).ErrorLine);
        Assert.False(File.Exists(sandbox.Home + "/x"));
    }

    private static async Task<string> Done(Sandbox sandbox, params string[] args)
    {
        Outcome outcome = await sandbox.Real(args);
        Assert.True(outcome.ExitCode == 0, outcome.Error);
        return outcome.Output;
    }

    private static string Qemu(params string[] args)
    {
        using Process process = Process.Start(new ProcessStartInfo("qemu-img", args) { RedirectStandardOutput = true })!;
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.Equal(0, process.ExitCode);
        return output;
    }

    private static int Judge(string image)
    {
        using Process process = Process.Start(new ProcessStartInfo("qemu-img", ["check", image]) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        process.WaitForExit();
        return process.ExitCode;
    }
}
