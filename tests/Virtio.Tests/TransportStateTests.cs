using System.Text.Json;
using TestKit.Virtio;
using Xunit;

namespace Virtio.Tests;

/// <summary>Moving a transport: Suspend, Save, Load, Resume.</summary>
public sealed class TransportStateTests
{
    private static VirtioTransportState Started(TransportRig rig)
    {
        rig.Driver.Start(16);
        rig.Driver.Write(0x014, 1);
        rig.Driver.Write(0x024, 7);
        rig.Driver.Write(0x030, 5);
        rig.Device.ConfigGeneration = 3;
        rig.Device.Activation!.Interrupt.UsedBuffer();
        rig.Transport.Suspend();
        return rig.Transport.Save();
    }

    [Fact]
    public void Every_register_moves_through_JSON()
    {
        using TransportRig from = new(queues: 2, features: 5), to = new(queues: 2, features: 5);
        VirtioTransportState saved = Started(from);
        string json = JsonSerializer.Serialize(saved, StateJson.Default.VirtioTransportState);
        to.Transport.Load(JsonSerializer.Deserialize(json, StateJson.Default.VirtioTransportState)!);
        VirtioTransportState loaded = to.Transport.Save();

        // The generation goes on by one: the new device need not have the configuration that the driver was reading.
        Assert.Equal(4u, loaded.ConfigGeneration);
        VirtioTransportState same = loaded with { ConfigGeneration = saved.ConfigGeneration };
        Assert.Equal(json, JsonSerializer.Serialize(same, StateJson.Default.VirtioTransportState));
        Assert.Equal((1u, 7u, 5u), (loaded.DeviceFeaturesSelect, loaded.DriverFeaturesSelect, loaded.QueueSelect));
        Assert.Equal((1u, 5UL | VirtioFeatures.Transport), (loaded.InterruptStatus, loaded.DriverFeatures));
        Assert.Equal(VirtioStatus.DriverOk, loaded.Status & VirtioStatus.DriverOk);
        Assert.Equal((16, true), (loaded.Queues[0].Size, loaded.Queues[0].Ready));
    }

    [Fact]
    public void Nothing_happens_between_load_and_resume()
    {
        using TransportRig from = new(), to = new();
        VirtioTransportState saved = Started(from);
        to.Transport.Load(saved);
        Assert.Equal(["Negotiated 130000000", "Suspend", "Activate"], to.Device.Calls);
        Assert.Equal(0, to.Line.Edges);
        to.Transport.Resume();
        Assert.Equal("Resume", to.Device.Calls[^1]);
        Assert.Equal(1, to.Line.Edges); // unacknowledged: the old edge may have been lost
    }

    [Fact]
    public void Features_that_a_driver_has_written_and_not_yet_settled_are_its_own_affair()
    {
        using TransportRig from = new(), to = new();
        from.Driver.Status = VirtioStatus.Acknowledge | VirtioStatus.Driver;
        from.Driver.Accept(ulong.MaxValue);
        from.Transport.Suspend();
        VirtioTransportState saved = from.Transport.Save();
        to.Transport.Load(saved);
        Assert.Equal(ulong.MaxValue, to.Transport.Save().DriverFeatures);
        to.Driver.Status |= VirtioStatus.FeaturesOk;
        Assert.False(to.Driver.Status.HasFlag(VirtioStatus.FeaturesOk));
    }

    [Fact]
    public void Where_one_queue_is_broken_the_others_go_on()
    {
        using TransportRig from = new(queues: 2), to = new(queues: 2);
        from.Driver.Negotiate();
        from.Driver.SetUpQueue(0, 16);
        from.Driver.SetUpQueue(1, 16);
        from.Driver.Status |= VirtioStatus.DriverOk;
        from.Device.Activation!.Interrupt.NeedsReset();
        from.Transport.Suspend();
        VirtioTransportState saved = from.Transport.Save();
        // Queue 0 has taken a chain that it can do nothing with.
        to.Transport.Load(saved with { Queues = [saved.Queues[0] with { NextAvail = 1 }, saved.Queues[1]] });
        Assert.Null(to.Device.Activation!.Queues[0]);
        Assert.NotNull(to.Device.Activation.Queues[1]);
        Assert.True(to.Driver.Status.HasFlag(VirtioStatus.NeedsReset));
    }

    [Fact]
    public void Resume_raises_nothing_that_was_acknowledged()
    {
        using TransportRig rig = new();
        Started(rig);
        rig.Driver.Acknowledge();
        long edges = rig.Line.Edges;
        rig.Transport.Resume();
        Assert.Equal(edges, rig.Line.Edges);
    }

    [Theory]
    [InlineData(VirtioStatus.None)]
    [InlineData(VirtioStatus.Acknowledge | VirtioStatus.Driver)]
    [InlineData(VirtioStatus.Acknowledge | VirtioStatus.Driver | VirtioStatus.FeaturesOk)]
    public void A_driver_in_the_middle_of_setting_up_goes_on(VirtioStatus status)
    {
        using TransportRig from = new(), to = new();
        from.Driver.Status = VirtioStatus.Acknowledge & status;
        if (status != VirtioStatus.None)
        {
            from.Driver.Accept(VirtioFeatures.Version1);
            from.Driver.Status = status;
        }

        from.Transport.Suspend();
        to.Transport.Load(from.Transport.Save());
        to.Transport.Resume();
        Assert.Null(to.Device.Activation);
        MockDriver driver = new(to.Transport, to.Memory, to.Line);
        Assert.Equal(status, driver.Status);
        driver.Start(16);
        Assert.NotNull(to.Device.Activation);
    }

    [Fact]
    public void A_driver_loaded_before_DRIVER_OK_is_told_to_read_its_configuration_again()
    {
        using TransportRig from = new(), to = new();
        from.Driver.Negotiate();
        from.Transport.Suspend();
        to.Transport.Load(from.Transport.Save());
        to.Transport.Resume();
        to.Driver.Status |= VirtioStatus.DriverOk;
        Assert.Equal(2u, to.Driver.Read(0x060));
    }

    [Fact]
    public void A_device_that_needs_a_reset_says_so_after_a_move()
    {
        using TransportRig from = new(), to = new();
        from.Driver.Start(16);
        from.Device.Activation!.Interrupt.NeedsReset();
        from.Transport.Suspend();
        to.Transport.Load(from.Transport.Save());
        to.Transport.Resume();
        Assert.True(to.Transport.Status.HasFlag(VirtioStatus.NeedsReset));
    }

    [Fact]
    public void A_device_at_work_cannot_be_saved()
    {
        using TransportRig rig = new();
        rig.Driver.Start(16);
        Assert.Throws<InvalidOperationException>(rig.Transport.Save);
        rig.Transport.Suspend();
        rig.Transport.Save();
        rig.Transport.Resume();
        Assert.Throws<InvalidOperationException>(rig.Transport.Save);
    }

    [Fact]
    public void A_transport_in_use_cannot_be_loaded_but_after_a_reset()
    {
        using TransportRig from = new(), to = new();
        VirtioTransportState saved = Started(from);
        to.Transport.Load(saved);
        Assert.Throws<InvalidOperationException>(() => to.Transport.Load(saved));
        to.Transport.Reset();
        to.Transport.Load(saved);
        Assert.NotNull(to.Device.Activation);
    }

    [Fact]
    public void A_state_of_another_layout_is_refused_by_its_number()
    {
        using TransportRig from = new(), to = new();
        VirtioTransportState saved = Started(from) with { Layout = 1 };
        InvalidDataException refusal = Assert.Throws<InvalidDataException>(() => to.Transport.Load(saved));
        Assert.Contains("layout 1", refusal.Message);
        Assert.Equal(VirtioStatus.None, to.Transport.Status);
        // Before layouts had numbers a state did not say so.
        string json = JsonSerializer.Serialize(saved, StateJson.Default.VirtioTransportState);
        string old = json.Replace("\"Layout\":1,", "", StringComparison.Ordinal);
        Assert.NotEqual(json, old);
        JsonException e = Assert.Throws<JsonException>(() =>
            JsonSerializer.Deserialize(old, StateJson.Default.VirtioTransportState));
        Assert.Contains("Layout", e.Message);
    }

    [Fact]
    public void Settings_move_after_the_features_they_depend_on()
    {
        using TransportRig from = new(), to = new();
        from.Driver.Start(16);
        from.Device.Settings = 7;
        from.Transport.Suspend();
        to.Transport.Load(from.Transport.Save());
        Assert.Equal(7u, to.Device.Settings);
    }

    [Theory(DisplayName = "A saved queue accounts for every chain that is on its way, or is refused")]
    [InlineData(2, 0, new ushort[] { 3, 5 }, true)]
    [InlineData(1, 65535, new ushort[] { 3, 5 }, true)]
    [InlineData(2, 0, new ushort[] { 3 }, false)]
    [InlineData(0, 0, new ushort[] { 3 }, false)]
    [InlineData(0, 1, new ushort[] { }, false)]
    public void Chains_on_their_way(ushort nextAvail, ushort nextUsed, ushort[] returned, bool accepted)
    {
        using TransportRig from = new(), to = new();
        VirtioTransportState saved = Started(from);
        VirtqueueState queue = saved.Queues[0] with { NextAvail = nextAvail, NextUsed = nextUsed, Returned = returned };
        saved = saved with { Queues = [queue] };
        if (accepted) to.Transport.Load(saved);
        else Assert.Throws<InvalidDataException>(() => to.Transport.Load(saved));
        if (accepted) Assert.Equal(returned, to.Transport.Save().Queues[0].Returned);
    }

    [Fact]
    public void States_of_another_device_are_refused_before_anything_changes()
    {
        using TransportRig from = new(features: 1), to = new();
        VirtioTransportState saved = Started(from);
        Assert.Throws<InvalidDataException>(() => to.Transport.Load(saved)); // feature 0 is not offered there
        saved = saved with { DriverFeatures = VirtioFeatures.Transport };
        Assert.Throws<InvalidDataException>(() => to.Transport.Load(saved with { DeviceId = 2 }));
        Assert.Throws<InvalidDataException>(() => to.Transport.Load(saved with { Queues = [] }));
        Assert.Equal(VirtioStatus.None, to.Transport.Status);
        VirtqueueState outside = saved.Queues[0] with { DeviceArea = 1UL << 40 };
        Assert.Throws<InvalidDataException>(() => to.Transport.Load(saved with { Queues = [outside] }));
        Assert.Null(to.Device.Activation);
    }
}
