using Vmm.Buses;
using Vmm.Devices;
using Xunit;

namespace Vmm.Tests.Devices;

public sealed class PowerDeviceTests
{
    private readonly RecordingPower _power = new();

    [Fact]
    public void The_keyboard_controller_resets_on_command_and_its_status_never_makes_linux_wait()
    {
        I8042 keyboard = new(_power);
        Assert.Equal(0, Port(keyboard, 4) & 0x03);
        keyboard.Write(4, [0xFE]);
        Assert.Equal((1, 0), (_power.Resets, _power.PowerOffs));
    }

    [Fact]
    public void The_keyboard_controllers_output_port_reads_back_and_resets()
    {
        I8042 keyboard = new(_power);
        keyboard.Write(4, [0xD0]);
        Assert.Equal(0x01, Port(keyboard, 4) & 0x01);
        Assert.Equal(0x03, Port(keyboard, 0));
        Assert.Equal(0, Port(keyboard, 4) & 0x01);
        keyboard.Write(0, [0x00]); // data without a command before it
        keyboard.Write(4, [0xD1]);
        keyboard.Write(0, [0x03]); // A20 on, no reset
        keyboard.Write(0, [0x02]);
        Assert.Equal(0, _power.Resets);
        keyboard.Write(4, [0xD1]);
        keyboard.Write(0, [0x02]);
        Assert.Equal(1, _power.Resets);
    }

    [Fact]
    public void Ports_between_the_keyboard_controllers_two_are_nobodys()
    {
        I8042 keyboard = new(_power);
        keyboard.Write(1, [0xFE]);
        Assert.Equal(0xFF, Port(keyboard, 1));
        Assert.Equal(0, _power.Resets);
    }

    [Theory]
    [InlineData(new byte[] { 0x02, 0x0E }, 1)] // Linux, cold
    [InlineData(new byte[] { 0x02, 0x06 }, 1)] // Linux, warm
    [InlineData(new byte[] { 0x02, 0x0A }, 0)]
    [InlineData(new byte[] { 0x06, 0x06 }, 1)] // the bit has to rise
    [InlineData(new byte[] { 0x06, 0x02, 0x06 }, 2)]
    public void The_chipsets_reset_register_resets_when_its_bit_rises(byte[] writes, int resets)
    {
        ResetRegister register = ResetRegister.ChipsetControl(_power);
        Assert.Equal(0, Port(register, 0));
        foreach (byte value in writes)
        {
            register.Write(0, [value]);
            Assert.Equal(value, Port(register, 0));
        }

        Assert.Equal(resets, _power.Resets);
    }

    [Fact]
    public void System_control_a_opens_a20_without_a_reset_and_resets_on_bit_0()
    {
        ResetRegister register = ResetRegister.SystemControlA(_power);
        Assert.Equal(0x02, Port(register, 0));
        register.Write(0, [0x02]);
        Assert.Equal(0, _power.Resets);
        register.Write(0, [0x03]);
        Assert.Equal(1, _power.Resets);
    }

    [Fact]
    public void The_acpi_registers_reset_and_switch_off_on_the_right_values_only()
    {
        AcpiDevice acpi = new(new CountingLine(), _power);
        for (int value = 0; value < 256; value++)
        {
            acpi.Write(PlatformMap.AcpiResetOffset, [(byte)value]);
            Assert.Equal(value >= 0x42 ? 1 : 0, _power.Resets);
        }

        acpi.Write(PlatformMap.AcpiSleepControlOffset, [0x14]); // S5 without SLP_EN
        acpi.Write(PlatformMap.AcpiSleepControlOffset, [0x2C]); // S3 with it
        acpi.Write(PlatformMap.AcpiSleepControlOffset, [0x34, 0x34]); // not a byte
        acpi.Write(PlatformMap.AcpiSleepStatusOffset, [0x80]); // Linux clears WAK_STS before it sleeps
        acpi.Write(0x300, [0x34]);
        Assert.Equal(0, _power.PowerOffs);
        acpi.Write(PlatformMap.AcpiSleepControlOffset, [0x34]);
        Assert.Equal((1, 1), (_power.Resets, _power.PowerOffs));
    }

    [Fact]
    public void The_power_button_raises_the_line_and_shows_once()
    {
        CountingLine line = new();
        AcpiDevice acpi = new(line, _power);
        Assert.Equal(0u, Events(acpi));
        acpi.PressPowerButton();
        Assert.Equal(1, line.Edges);
        byte[] narrow = [0xFF];
        acpi.Read(PlatformMap.AcpiEventOffset, narrow);
        Assert.Equal(0, narrow[0]);
        Assert.Equal((PlatformMap.AcpiPowerButtonEvent, 0u), (Events(acpi), Events(acpi)));
    }

    [Fact]
    public void A_pressed_button_survives_a_save()
    {
        AcpiDevice acpi = new(new CountingLine(), _power);
        acpi.PressPowerButton();
        CountingLine line = new();
        AcpiDevice other = new(line, _power);
        other.Load(StateJson.RoundTrip(acpi.Save()));
        StateJson.AssertEqual(acpi.Save(), other.Save());
        Assert.Equal(1, line.Edges);
        Assert.Equal(PlatformMap.AcpiPowerButtonEvent, Events(other));

        other.Load(new AcpiDeviceState());
        Assert.Equal(1, line.Edges);
    }

    [Fact]
    public void Port_device_states_go_round()
    {
        I8042 keyboard = new(_power), otherKeyboard = new(_power);
        keyboard.Write(4, [0xD0]);
        keyboard.Write(4, [0xD1]);
        otherKeyboard.Load(StateJson.RoundTrip(keyboard.Save()));
        StateJson.AssertEqual(keyboard.Save(), otherKeyboard.Save());
        Assert.Equal(0x03, Port(otherKeyboard, 0));
        otherKeyboard.Write(0, [0x02]);
        Assert.Equal(1, _power.Resets);

        ResetRegister register = ResetRegister.ChipsetControl(_power);
        ResetRegister otherRegister = ResetRegister.ChipsetControl(_power);
        register.Write(0, [0x0B]);
        otherRegister.Load(StateJson.RoundTrip(register.Save()));
        Assert.Equal(0x0B, Port(otherRegister, 0));
    }

    private static byte Port(IPortDevice device, ushort offset)
    {
        Span<byte> data = [0];
        device.Read(offset, data);
        return data[0];
    }

    private static uint Events(AcpiDevice acpi)
    {
        byte[] data = new byte[4];
        acpi.Read(PlatformMap.AcpiEventOffset, data);
        return BitConverter.ToUInt32(data);
    }
}
