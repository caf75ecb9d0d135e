namespace VirtioBlk.Store.Tests;

public sealed class DiskChainTests : IDisposable
{
    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Backing_files_are_found_beside_the_image_that_names_them()
    {
        Directory.CreateDirectory(_folder["sub"]);
        File.WriteAllBytes(_folder["base.raw"], DiskIo.Pattern(1 << 20, 9));
        Qcow2Image.Create(_folder["sub/a.qcow2"], 1 << 20, "../base.raw", DiskFormat.Raw);
        Qcow2Image.Create(_folder["sub/b.qcow2"], 1 << 20, "a.qcow2", DiskFormat.Qcow2);
        Qcow2Image.Create(_folder["c.qcow2"], 1 << 20, _folder["sub/b.qcow2"], DiskFormat.Qcow2);
        using IDiskLayer disk = DiskChain.Open(_folder["c.qcow2"], DiskFormat.Qcow2, readOnly: false);
        Assert.Equal(DiskIo.Pattern(1 << 20, 9), disk.ReadAll());
        disk.WritePattern(0, 512, 1);
        Assert.Equal(0, new FileInfo(_folder["base.raw"]).Length - (1 << 20));
        Assert.Equal(9, File.ReadAllBytes(_folder["base.raw"])[0]);
    }

    [Fact]
    public void A_guest_cannot_turn_a_raw_disk_into_an_image_of_a_host_file()
    {
        File.WriteAllBytes(_folder["secret"], DiskIo.Pattern(1 << 20, 0x5E));
        Qcow2Image.Create(_folder["evil.qcow2"], 1 << 20, _folder["secret"], DiskFormat.Raw);
        byte[] evil = File.ReadAllBytes(_folder["evil.qcow2"]);
        File.WriteAllBytes(_folder["base.raw"], new byte[1 << 20]);
        using (IDiskLayer disk = DiskChain.Open(_folder["base.raw"], DiskFormat.Raw, readOnly: false))
            disk.WriteBytes(0, evil);
        Qcow2Image.Create(_folder["top.qcow2"], 1 << 20, "base.raw", DiskFormat.Raw);
        using IDiskLayer top = DiskChain.Open(_folder["top.qcow2"], DiskFormat.Qcow2, readOnly: true);
        Assert.Equal(evil, top.ReadBytes(0, evil.Length));
        Assert.DoesNotContain((byte)0x5E, top.ReadBytes(evil.Length, (1 << 20) - evil.Length));
    }

    [Fact]
    public void Without_a_format_nothing_is_guessed()
    {
        File.WriteAllBytes(_folder["base.raw"], new byte[1 << 20]);
        Qemu.Img("create", "-f", "qcow2", "-b", "base.raw", "-F", "raw", _folder["a.qcow2"]);
        PatchExtension(_folder["a.qcow2"]);
        AssertProblem("a.qcow2", "does not say which format its backing file has; set it with: qemu-img rebase -u -F");
    }

    [Fact]
    public void Other_formats_and_protocols_are_refused()
    {
        Qemu.Img("create", "-u", "-f", "qcow2", "-b", "base.vmdk", "-F", "vmdk", _folder["a.qcow2"], "1M");
        AssertProblem("a.qcow2", "has a backing file of format \"vmdk\", which is not supported");
        Qemu.Img("create", "-u", "-f", "qcow2", "-b", "nbd://host/disk", "-F", "raw", _folder["b.qcow2"], "1M");
        AssertProblem("b.qcow2", "has a backing file that is not named by a path: nbd://host/disk");
    }

    [Fact]
    public void Loops_and_endless_chains_end()
    {
        Qcow2Image.Create(_folder["a.qcow2"], 1 << 20, "b.qcow2", DiskFormat.Qcow2);
        Qcow2Image.Create(_folder["b.qcow2"], 1 << 20, "a.qcow2", DiskFormat.Qcow2);
        AssertProblem("a.qcow2", "is its own backing file: the chain is a loop");

        for (int i = 0; i <= DiskChain.MaxDepth; i++)
            Qcow2Image.Create(_folder[$"{i}"], 1 << 20, $"{i + 1}", DiskFormat.Qcow2);
        AssertProblem("0", "has more than 32 layers");
    }

    [Fact]
    public void A_missing_base_is_named_and_nothing_stays_open()
    {
        string path = _folder["a.qcow2"];
        Qcow2Image.Create(path, 1 << 20, "gone.raw", DiskFormat.Raw);
        Assert.Equal(
            $"{_folder["gone.raw"]}: cannot open it: No such file or directory",
            Assert.Throws<DiskException>(() => DiskChain.Open(path, DiskFormat.Qcow2, readOnly: false)).Message);
        File.WriteAllBytes(_folder["gone.raw"], new byte[1 << 20]);
        DiskChain.Open(path, DiskFormat.Qcow2, readOnly: false).Dispose();
    }

    [Fact]
    public void A_base_in_use_for_writing_is_refused()
    {
        File.WriteAllBytes(_folder["base.raw"], new byte[1 << 20]);
        Qcow2Image.Create(_folder["a.qcow2"], 1 << 20, "base.raw", DiskFormat.Raw);
        Qcow2Image.Create(_folder["b.qcow2"], 1 << 20, "base.raw", DiskFormat.Raw);
        using (RawDisk.Open(_folder["base.raw"], readOnly: false))
            Assert.Throws<DiskInUseException>(
                () => DiskChain.Open(_folder["a.qcow2"], DiskFormat.Qcow2, readOnly: false));
        using IDiskLayer a = DiskChain.Open(_folder["a.qcow2"], DiskFormat.Qcow2, readOnly: false);
        using IDiskLayer b = DiskChain.Open(_folder["b.qcow2"], DiskFormat.Qcow2, readOnly: false);
    }

    private void AssertProblem(string name, string problem) => Assert.Equal(
        $"{_folder[name]}: {problem}",
        Assert.Throws<DiskException>(() => DiskChain.Open(_folder[name], DiskFormat.Qcow2, readOnly: false)).Message);

    /// <summary>Turns the backing format extension, the first after the header, into one that nobody knows.</summary>
    private static void PatchExtension(string path)
    {
        byte[] bytes = File.ReadAllBytes(path);
        Assert.Equal([0xE2, 0x79, 0x2A, 0xCA], bytes[112..116]);
        bytes[112] = 0x12;
        File.WriteAllBytes(path, bytes);
    }
}
